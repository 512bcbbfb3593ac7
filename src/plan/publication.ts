/**
 * A published port: what arrives at this host's port goes to the container, from elsewhere, from other
 * containers and from the host itself by elements of our table; from the host's own 127.0.0.1 and ::1 by the
 * socket hooks, where no translation could bring an answer back (R16).
 */

import { packetMarks } from '../hoststate/marks.ts'
import type { LoopbackPort, PortForward } from '../hoststate/ports.ts'
import type { Wanted } from '../hoststate/state.ts'
import type { PublishedEndpoint } from '../model/endpoint.ts'
import type { Network } from '../model/network.ts'
import type { Publication } from '../model/publication.ts'
import { type Family, familyOf, type IP, ipToNumber } from '../net/ip.ts'

/** What of this host a publication depends on. */
export interface PublicationSurroundings {
  readonly hostId: string
  /** Index of the network here; 0 where its prefixes are its own. */
  readonly index: number
  /** Our bits of the packet mark. */
  readonly packetMarkMask: number
}

/** Nothing for another host's, nor while its container or network is unknown or has no way to the host. */
export function planPublication(
  publication: Publication,
  endpoint: Pick<PublishedEndpoint, 'hostId' | 'addresses'> | undefined,
  network: Pick<Network, 'internal'> | undefined,
  { hostId, index, packetMarkMask }: PublicationSurroundings,
): readonly Wanted[] {
  if (endpoint === undefined || network === undefined || network.internal) return []
  if (publication.hostId !== hostId || endpoint.hostId !== hostId) return []
  const mark = packetMarks(packetMarkMask).ofIndex(index)
  const wanted: Wanted[] = planHooks(publication)
  for (let i = 0; i < publication.count; i++) {
    const ports = { host: publication.hostPort + i, container: publication.containerPort + i }
    wanted.push(
      ...planForwards(publication, endpoint.addresses, ports, index),
      ...planLoopback(publication, endpoint.addresses, ports, mark),
    )
  }
  return wanted
}

/** However many want them, the hooks stand once. */
function planHooks(publication: Publication): Wanted[] {
  return takesLoopback(publication) ? [{ kind: 'socket-hooks' }] : []
}

interface PortPair {
  readonly host: number
  readonly container: number
}

/** One per family that both the host's side and the container have. */
function planForwards(
  { protocol, hostAddress }: Publication,
  addresses: readonly IP[],
  ports: PortPair,
  index: number,
): readonly PortForward[] {
  if (hostAddress !== undefined && isLoopback(hostAddress)) return []
  const one = hostAddress === undefined || isEvery(hostAddress) ? {} : { hostAddress }
  return familiesOf(hostAddress).flatMap((family) => {
    const address = ofFamily(addresses, family)
    if (address === undefined) return []
    return [
      {
        kind: 'publication',
        protocol,
        ...one,
        hostPort: ports.host,
        address,
        containerPort: ports.container,
        index,
      },
    ]
  })
}

/** Connections by ::1 to a container that has only IPv4 go there too; the other way a socket cannot. */
function planLoopback(
  publication: Publication,
  addresses: readonly IP[],
  ports: PortPair,
  mark: number,
): readonly LoopbackPort[] {
  const { protocol, hostAddress } = publication
  if (protocol === 'sctp' || !takesLoopback(publication)) return []
  const one = hostAddress === undefined || isEvery(hostAddress) ? {} : { address: hostAddress }
  return familiesOf(hostAddress).flatMap((family) => {
    const target =
      ofFamily(addresses, family) ?? (family === 6 ? ofFamily(addresses, 4) : undefined)
    if (target === undefined) return []
    return [
      {
        kind: 'loopback-port',
        protocol,
        family,
        ...one,
        port: ports.host,
        target,
        targetPort: ports.container,
        mark,
      },
    ]
  })
}

/** True when loopback addresses of the host are among those that the port is published on. */
function takesLoopback({ protocol, hostAddress }: Publication): boolean {
  if (protocol === 'sctp') return false
  return hostAddress === undefined || isLoopback(hostAddress) || isEvery(hostAddress)
}

function familiesOf(hostAddress: IP | undefined): readonly Family[] {
  return hostAddress === undefined ? [4, 6] : [familyOf(hostAddress)]
}

function ofFamily(addresses: readonly IP[], family: Family): IP | undefined {
  return addresses.find((address) => familyOf(address) === family)
}

function isLoopback(address: IP): boolean {
  return familyOf(address) === 4 ? address.startsWith('127.') : address === '::1'
}

/** All of one family. */
function isEvery(address: IP): boolean {
  return ipToNumber(address) === 0n
}
