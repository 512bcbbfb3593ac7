/** What keeps a network from being changed, and what its owner should know of it. Pure: throws, or says. */

import { NetworkError } from '../lib/errors.ts'
import type { PublishedEndpoint } from '../model/endpoint.ts'
import type { Host } from '../model/host.ts'
import type { Carrier, Network } from '../model/network.ts'
import { familyOf, type IP } from '../net/ip.ts'
import { type Prefix, prefixContains, prefixFamily } from '../net/prefix.ts'
import type { Replica } from '../store/replica/replica.ts'
import type { KeyValue } from '../store/store.ts'
import { ownerIn } from './ipam/claimer.ts'

/** Endpoints that a message names; the others are counted. */
const MOST_NAMED = 5

type Known = Pick<Replica, 'endpointsOf' | 'reservations' | 'host' | 'alive'>

/** Throws `conflict` when an endpoint has, or a name is reserved, an address of the prefixes. */
export function refuseInhabited(
  network: Network,
  removed: readonly Prefix[],
  replica: Known,
): void {
  for (const prefix of removed) {
    const inside = (addresses: readonly IP[]): boolean =>
      addresses.some((address) => prefixContains(prefix, address))
    const living = [...replica.endpointsOf(network.id)].filter((each) => inside(each.addresses))
    if (living.length > 0) {
      const names = living.slice(0, MOST_NAMED).map(({ id, name }) => name ?? id)
      const more = living.length > MOST_NAMED ? ` and ${living.length - MOST_NAMED} more` : ''
      const hostIds = new Set(living.map(({ hostId }) => hostId))
      const hosts = [...hostIds].map((id) => replica.host(id)?.name ?? id).sort()
      throw new NetworkError(
        'conflict',
        `Cannot change network ${network.name}: subnet ${prefix} has endpoints ${names.join(', ')}${more}, on ${hosts.join(', ')}`,
        {
          details: { network: network.name, prefix, hosts, endpoints: living.length },
          hint: `carrick endpoint ls --network ${network.name}`,
        },
      )
    }
    const kept = [...replica.reservations(network.id)].find((each) => inside(each.addresses))
    if (kept === undefined) continue
    throw new NetworkError(
      'conflict',
      `Cannot change network ${network.name}: subnet ${prefix} has an address that is reserved for ${kept.name}`,
      { details: { network: network.name, prefix, reservation: kept.name } },
    )
  }
}

/** Throws `conflict` when the records are blocks or single addresses that hosts have not given back. */
export function refuseKept(
  network: Network,
  prefix: Prefix,
  records: readonly KeyValue[],
  replica: Known,
): void {
  const owners = new Set(records.flatMap(({ value }) => ownerIn(value) ?? []))
  if (owners.size === 0) return
  const hosts = [...owners]
    .map((id) => {
      const name = replica.host(id)?.name ?? id
      return replica.alive(id) === undefined ? `${name} (away)` : name
    })
    .sort()
  throw new NetworkError(
    'conflict',
    `Cannot change network ${network.name}: hosts keep addresses of subnet ${prefix}: ${hosts.join(', ')}`,
    {
      details: { network: network.name, prefix, hosts },
      hint: 'carrick host ls; the same again when they are back, or carrick host rm HOST if they are gone',
    },
  )
}

/** Throws `conflict` when a member host cannot carry packets that way. */
export function refuseUnable(attempted: string, carrier: Carrier, hosts: Iterable<Host>): void {
  const needs: readonly string[] =
    carrier === 'auto' ? ['vxlan', 'direct'] : carrier === 'local' ? [] : [carrier]
  const unable = [...hosts].filter(
    ({ carriers }) => !needs.every((need) => carriers.includes(need)),
  )
  if (unable.length === 0) return
  const names = unable.map(({ name }) => name).sort()
  throw new NetworkError(
    'conflict',
    `Cannot ${attempted}: carrier ${carrier} is not possible on ${names.join(', ')}`,
    { details: { carrier, hosts: names }, hint: 'carrick host ls -o wide' },
  )
}

/** Says what a change leaves as it was, although its owner may think otherwise. */
export function leftNotes(
  before: Network,
  now: Network,
  replica: Pick<Replica, 'endpointsOf' | 'publicationsOf'>,
): readonly string[] {
  const notes: string[] = []
  const families = (network: Network) => new Set(network.prefixes.map(prefixFamily))
  const added = [...families(now).difference(families(before))]
  const [endpoint] = replica.endpointsOf(now.id)
  if (added.length > 0 && endpoint !== undefined) {
    notes.push(`endpoints that exist get no IPv${added.join(' and IPv')} address: attach them anew`)
  }
  const [publication] = replica.publicationsOf(now.id)
  if (now.internal && !before.internal && publication !== undefined) {
    notes.push('its published ports lead nowhere while it is internal')
  }
  return notes
}

/** What the outer headers of VXLAN take: RFC 7348 over IPv4 or IPv6, with the inner Ethernet header. */
const VXLAN_BYTES = { 4: 50, 6: 70 } as const

/** Says when full-size packets of the network do not fit the way between hosts; undefined when they do. */
export function mtuNote(network: Network, hosts: Iterable<Host>): string | undefined {
  const { mtuBytes, carrier } = network
  if (mtuBytes === undefined || carrier === 'local') return undefined
  const tight: string[] = []
  let fits = Number.POSITIVE_INFINITY
  for (const { name, underlay } of hosts) {
    const [first] = underlay
    if (first === undefined) continue
    const outer = carrier === 'direct' ? 0 : VXLAN_BYTES[familyOf(first.address)]
    const most = Math.min(...underlay.map((each) => each.mtuBytes)) - outer
    if (most >= mtuBytes) continue
    tight.push(name)
    fits = Math.min(fits, most)
  }
  if (tight.length === 0) return undefined
  return `an MTU of ${mtuBytes} is more than ${tight.sort().join(', ')} can carry to other hosts: ${fits} would fit, larger packets are refused with the size that does`
}

/** Says which containers keep the size they have: the engine that started them has the ends of their pairs. */
export function engineNote(endpoints: Iterable<PublishedEndpoint>): string | undefined {
  const count = [...endpoints].filter(({ attachment }) => attachment === 'engine').length
  if (count === 0) return undefined
  const [who, they] = count === 1 ? ['one container', 'it is'] : [`${count} containers`, 'they are']
  return `${who} of container engines keep the MTU they have until ${they} started again`
}
