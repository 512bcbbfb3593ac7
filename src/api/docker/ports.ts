/**
 * `-p` and `-P`: the engine's list of ports as publications of the container's endpoint. All are published or
 * none; asking again changes nothing.
 */

import type { Control, PortWish } from '../../control/control.ts'
import { isNetworkError, NetworkError } from '../../lib/errors.ts'
import { hostPortsOverlap, hostPortsText, type Publication } from '../../model/publication.ts'
import { parseIP } from '../../net/ip.ts'
import { IPPROTO, type TransportProtocol } from '../../net/protocol.ts'
import type { PortMapping } from './messages.ts'

type PublishControl = Pick<Control, 'publish' | 'unpublish' | 'publicationsOf'>

/** A run of ports, or one port that may come from a range. */
export interface WantedPort {
  readonly protocol: TransportProtocol
  readonly hostAddress: string | undefined
  /** 0: any that is free. */
  readonly hostPort: number
  /** Higher than `hostPort`: any that is free up to this one, which is only so for one port. */
  readonly lastHostPort: number
  readonly containerPort: number
  readonly count: number
}

/** Publishes what is not yet; throws what publishing throws, and takes back what it had published. */
export async function publishPorts(
  control: PublishControl,
  endpointId: string,
  mappings: readonly PortMapping[],
): Promise<void> {
  const standing = [...control.publicationsOf(endpointId)]
  const made: string[] = []
  const runs = joinRuns(mappings.map(readMapping))
  refuseTwice(runs)
  try {
    for (const wanted of runs) {
      const at = standing.findIndex((publication) => serves(publication, wanted))
      if (at >= 0) standing.splice(at, 1)
      else made.push((await publishOne(control, endpointId, wanted)).id)
    }
  } catch (error) {
    await Promise.allSettled(made.map((id) => control.unpublish(id)))
    throw error
  }
}

/** Takes back whatever is published for the endpoint; content when nothing is. */
export async function unpublishPorts(control: PublishControl, endpointId: string): Promise<void> {
  await Promise.all(control.publicationsOf(endpointId).map(({ id }) => control.unpublish(id)))
}

function readMapping(mapping: PortMapping): WantedPort {
  const { Proto, Port, HostIP, HostPort, HostPortEnd } = mapping
  const protocol = (Object.keys(IPPROTO) as TransportProtocol[]) // the table's own keys
    .find((name) => IPPROTO[name] === Proto)
  if (protocol === undefined) {
    throw new NetworkError('invalid', `Cannot publish port ${Port}: protocol ${Proto} has no ports`)
  }
  const hostAddress = HostIP === '' ? undefined : parseIP(HostIP)
  if (HostIP !== '' && hostAddress === undefined) {
    throw new NetworkError('invalid', `Cannot publish port ${Port}: "${HostIP}" is not an address`)
  }
  return {
    protocol,
    hostAddress,
    hostPort: HostPort,
    lastHostPort: Math.max(HostPort, HostPortEnd),
    containerPort: Port,
    count: 1,
  }
}

/** The engine splits ranges into single ports, in no stable order: one publication per run is cheaper. */
export function joinRuns(ports: readonly WantedPort[]): readonly WantedPort[] {
  const sorted = [...ports].sort(
    (a, b) =>
      placeOf(a).localeCompare(placeOf(b)) ||
      a.hostPort - b.hostPort ||
      a.containerPort - b.containerPort,
  )
  const runs: WantedPort[] = []
  for (const port of sorted) {
    const last = runs.at(-1)
    if (last !== undefined && follows(last, port)) {
      runs[runs.length - 1] = {
        ...last,
        count: last.count + 1,
        lastHostPort: last.hostPort,
      }
    } else runs.push(port)
  }
  return runs
}

/** Throws `invalid` when one port of the host is to lead to two of the container: it would be found taken by itself. */
function refuseTwice(runs: readonly WantedPort[]): void {
  const fixed = runs.filter(
    ({ hostPort, lastHostPort, count }) => hostPort > 0 && lastHostPort < hostPort + count,
  )
  for (const [i, a] of fixed.entries()) {
    const b = fixed.slice(0, i).find((other) => hostPortsOverlap(a, other))
    if (b === undefined) continue
    throw new NetworkError(
      'invalid',
      `Cannot publish ${hostPortsText(a)} twice: for port ${b.containerPort} and for port ${a.containerPort} of the container`,
    )
  }
}

function follows(run: WantedPort, port: WantedPort): boolean {
  if (placeOf(run) !== placeOf(port) || run.hostPort === 0) return false
  if (run.lastHostPort !== run.hostPort || port.lastHostPort !== port.hostPort) return false
  return (
    port.hostPort === run.hostPort + run.count &&
    port.containerPort === run.containerPort + run.count
  )
}

function placeOf({ protocol, hostAddress = '' }: WantedPort): string {
  return `${protocol} ${hostAddress}`
}

/** True when the publication is what this wish would make. */
function serves(publication: Publication, wanted: WantedPort): boolean {
  const { protocol, hostAddress, hostPort, containerPort, count } = publication
  if (protocol !== wanted.protocol || hostAddress !== wanted.hostAddress) return false
  if (containerPort !== wanted.containerPort || count !== wanted.count) return false
  if (wanted.hostPort === 0) return true
  return hostPort >= wanted.hostPort && hostPort <= wanted.lastHostPort
}

/** Tries the ports of a range one after the other. */
async function publishOne(
  control: PublishControl,
  endpointId: string,
  wanted: WantedPort,
): Promise<Publication> {
  for (let hostPort = wanted.hostPort; ; hostPort++) {
    try {
      const { publication } = await control.publish(endpointId, wishOf({ ...wanted, hostPort }))
      return publication
    } catch (error) {
      if (hostPort >= wanted.lastHostPort || !isTaken(error)) throw error
    }
  }
}

function isTaken(error: unknown): boolean {
  return isNetworkError(error, 'already-exists') || isNetworkError(error, 'conflict')
}

function wishOf({ protocol, hostAddress, hostPort, containerPort, count }: WantedPort): PortWish {
  return {
    protocol,
    ...(hostAddress === undefined ? {} : { hostAddress }),
    hostPort,
    containerPort,
    count,
  }
}
