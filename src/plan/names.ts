/**
 * Which names there are, and to which addresses they lead, from what is known of networks, endpoints and
 * hosts. A question comes from a container: its names are those of its network, then those of its other
 * networks; `name.network` is for everybody. Every change is taken in by itself; what comes of many does not
 * depend on their order. There may be tens of thousands of endpoints, so the tables are packed.
 */

import { PackedMap } from '../lib/packed-map.ts'
import type { Endpoint, PublishedEndpoint } from '../model/endpoint.ts'
import { ENGINE_LABELS } from '../model/engine-network.ts'
import type { Network } from '../model/network.ts'
import type { IP } from '../net/ip.ts'
import { type Prefix, prefixContains } from '../net/prefix.ts'

/** Who asks: a container, by its network and its address there. */
export interface Asker {
  readonly networkId: string
  readonly source: IP
}

/** `unknown`: a name that only we could know, and nobody has; `foreign`: not for us to say. */
export type Found<T> =
  | { readonly kind: 'known'; readonly values: readonly T[] }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'foreign' }

interface KnownNetwork {
  readonly names: readonly string[]
  readonly prefixes: readonly Prefix[]
}

type AnyEndpoint = Endpoint | PublishedEndpoint

const FOREIGN = { kind: 'foreign' } as const
const UNKNOWN = { kind: 'unknown' } as const

export class Names {
  /** By id: the numbers of its network and of its host, its names and its addresses. */
  readonly #endpoints = new PackedMap()
  /** By network and name: per endpoint `host/address,address`. */
  readonly #forward = new PackedMap()
  /** By network and address: the first name of each endpoint that has it. */
  readonly #reverse = new PackedMap()
  readonly #numbers = new Map<string, number>()
  readonly #networks = new Map<string, KnownNetwork>()
  /** Networks by what may stand behind the dot, in the order of their ids. */
  readonly #qualifiers = new Map<string, readonly string[]>()
  /** Numbers of hosts that give no sign of life. */
  readonly #silent = new Set<number>()
  readonly #sandboxes = new Sandboxes()

  /** `others`: further names of the network, such as an engine's. */
  putNetwork(network: Network, others: readonly string[] = []): void {
    this.removeNetwork(network.id)
    const named = [network.name, ...(network.docker === undefined ? [] : [network.docker.name])]
    const names = [...new Set([...named, ...others].filter(isDnsName).map(lower))]
    this.#networks.set(network.id, { names, prefixes: network.prefixes })
    for (const name of names) {
      const sharing = [...(this.#qualifiers.get(name) ?? []), network.id]
      this.#qualifiers.set(name, sharing.sort())
    }
  }

  removeNetwork(id: string): void {
    for (const name of this.#networks.get(id)?.names ?? []) {
      const left = this.#qualifiers.get(name)?.filter((each) => each !== id) ?? []
      if (left.length === 0) this.#qualifiers.delete(name)
      else this.#qualifiers.set(name, left)
    }
    this.#networks.delete(id)
  }

  /** Takes the endpoint in as it is now. */
  putEndpoint(endpoint: AnyEndpoint): void {
    const { id, networkId, hostId, addresses } = endpoint
    const names = namesOf(endpoint)
    const network = this.#numberOf(networkId)
    const row = `${network} ${this.#numberOf(hostId)} ${names.join(',')} ${addresses.join(',')}`
    const own = 'sandbox' in endpoint ? endpoint : undefined
    const before = this.#endpoints.get(id)
    if (before === row) {
      this.#sandboxes.put(id, own)
      return
    }
    if (before !== undefined) this.removeEndpoint(id)
    this.#sandboxes.put(id, own)
    // Whose addresses are only held is nowhere.
    if (endpoint.attachment === 'held') return
    this.#endpoints.set(id, row)
    this.#enter(row)
  }

  /** Content when it is not there. */
  removeEndpoint(id: string): void {
    this.#sandboxes.put(id, undefined)
    const row = this.#endpoints.get(id)
    if (row === undefined) return
    this.#endpoints.delete(id)
    const { network, names, target, addresses } = partsOf(row)
    for (const name of names) drop(this.#forward, `${network} ${lower(name)}`, target)
    for (const address of addresses) {
      if (names[0] !== undefined) drop(this.#reverse, `${network} ${address}`, names[0])
    }
  }

  /** Endpoints of a host that is silent are told only where no other one has the name. */
  setAlive(hostId: string, alive: boolean): void {
    if (alive) this.#silent.delete(this.#numberOf(hostId))
    else this.#silent.add(this.#numberOf(hostId))
  }

  /** All is as if nothing had ever been put. */
  clear(): void {
    for (const table of [this.#endpoints, this.#forward, this.#reverse]) table.clear()
    this.#networks.clear()
    this.#qualifiers.clear()
    this.#silent.clear()
    this.#sandboxes.clear()
  }

  /** The addresses of a name, which has no dot at its end; known without addresses when it only stands before others. */
  addresses(asker: Asker | undefined, text: string): Found<IP> {
    const name = lower(text)
    const contexts = this.#contexts(asker)
    for (const networkId of contexts) {
      const values = this.#addressesIn(networkId, name)
      if (values !== undefined) return { kind: 'known', values }
    }
    let ours = false
    for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) {
      const networkId = this.#qualified(name.slice(dot + 1), contexts)
      if (networkId === undefined) continue
      const first = name.slice(0, dot)
      const values = this.#addressesIn(networkId, first)
      if (values !== undefined) return { kind: 'known', values }
      // Further dots: more likely a name of the world outside whose last part is like a network's.
      if (!first.includes('.')) ours = true
    }
    if (this.#qualifiers.has(name)) return { kind: 'known', values: [] }
    return ours ? UNKNOWN : FOREIGN
  }

  /** `name.network` of whoever has the address: in the asker's networks, else in any. */
  names(asker: Asker | undefined, address: IP): Found<string> {
    const contexts = this.#contexts(asker)
    let ours = false
    for (const ids of [contexts, this.#networks.keys()]) {
      const values: string[] = []
      for (const id of ids) {
        const network = this.#networks.get(id)
        if (network?.prefixes.some((prefix) => prefixContains(prefix, address)) !== true) continue
        ours = true
        const found = this.#reverse.get(`${this.#numberOf(id)} ${address}`)?.split(' ') ?? []
        values.push(...found.map((name) => `${name}.${network.names[0] ?? id}`))
      }
      if (values.length > 0) return { kind: 'known', values: [...new Set(values)] }
    }
    return ours ? UNKNOWN : FOREIGN
  }

  #enter(row: string): void {
    const { network, names, target, addresses } = partsOf(row)
    for (const name of names) append(this.#forward, `${network} ${lower(name)}`, target)
    for (const address of addresses) {
      if (names[0] !== undefined) append(this.#reverse, `${network} ${address}`, names[0])
    }
  }

  #contexts(asker: Asker | undefined): readonly string[] {
    if (asker === undefined) return []
    const others = this.#sandboxes.networksAt(asker)
    return [asker.networkId, ...others.filter((id) => id !== asker.networkId)]
  }

  /** The network of that name: one of the asker's, else the first by id. */
  #qualified(name: string, contexts: readonly string[]): string | undefined {
    const ids = this.#qualifiers.get(name)
    return contexts.find((id) => ids?.includes(id)) ?? ids?.[0]
  }

  #addressesIn(networkId: string, name: string): readonly IP[] | undefined {
    const number = this.#numbers.get(networkId)
    const targets = number === undefined ? undefined : this.#forward.get(`${number} ${name}`)
    if (targets === undefined) return undefined
    const all = targets.split(' ').map((target) => target.split('/') as [string, string])
    const lively = all.filter(([host]) => !this.#silent.has(Number(host)))
    const told = lively.length > 0 ? lively : all
    // Put in as addresses, so they come out as such.
    return [...new Set(told.flatMap(([, list]) => (list === '' ? [] : list.split(','))))] as IP[]
  }

  /** Small and for good: a network that went and came again has it still. */
  #numberOf(id: string): number {
    const known = this.#numbers.get(id)
    if (known !== undefined) return known
    this.#numbers.set(id, this.#numbers.size)
    return this.#numbers.size - 1
  }
}

/** Which containers of this host are on several networks. */
class Sandboxes {
  readonly #members = new Map<string, { readonly key: string; readonly endpoint: Endpoint }>()
  readonly #byKey = new Map<string, ReadonlySet<string>>()
  /** Key of the container, by network and address. */
  readonly #keys = new Map<string, string>()

  /** Undefined: it is not here, or no more. */
  put(id: string, endpoint: Endpoint | undefined): void {
    const before = this.#members.get(id)
    if (before !== undefined) {
      this.#members.delete(id)
      for (const place of placesOf(before.endpoint)) this.#keys.delete(place)
      const left = new Set(this.#byKey.get(before.key))
      left.delete(id)
      if (left.size === 0) this.#byKey.delete(before.key)
      else this.#byKey.set(before.key, left)
    }
    const key = endpoint === undefined ? undefined : sandboxKey(endpoint)
    if (endpoint === undefined || key === undefined) return
    this.#members.set(id, { key, endpoint })
    this.#byKey.set(key, new Set([...(this.#byKey.get(key) ?? []), id]))
    for (const place of placesOf(endpoint)) this.#keys.set(place, key)
  }

  clear(): void {
    this.#members.clear()
    this.#byKey.clear()
    this.#keys.clear()
  }

  /** The networks of the container that has the address, in the order of its interfaces. */
  networksAt({ networkId, source }: Asker): readonly string[] {
    const key = this.#keys.get(`${networkId} ${source}`)
    const ids = key === undefined ? [] : [...(this.#byKey.get(key) ?? [])]
    return ids
      .flatMap((id) => this.#members.get(id)?.endpoint ?? [])
      .sort((a, b) => a.order - b.order || (a.id < b.id ? -1 : 1))
      .map((endpoint) => endpoint.networkId)
  }
}

function placesOf({ networkId, addresses }: Endpoint): readonly string[] {
  return addresses.map((address) => `${networkId} ${address}`)
}

/** A container by its namespace, or by what an engine calls it. */
function sandboxKey({ sandbox, labels }: Endpoint): string | undefined {
  if (sandbox.inode !== 0) return `${sandbox.inode}`
  const container = labels[ENGINE_LABELS.container]
  return container === undefined ? undefined : `container ${container}`
}

/** All names of an endpoint as they were given, its own first. */
function namesOf({ name, labels }: AnyEndpoint): readonly string[] {
  const further = labels[ENGINE_LABELS.names]?.split(',').map((each) => each.trim()) ?? []
  const all = [...(name === undefined ? [] : [name]), ...further].filter(isDnsName)
  return all.filter((each, i) => all.findIndex((other) => lower(other) === lower(each)) === i)
}

/** What engines call things may hold underscores, dots and capitals. RFC 1035 §2.3.4 */
function isDnsName(text: string): boolean {
  return text.length <= 190 && text.split('.').every((label) => /^[a-z0-9_-]{1,63}$/i.test(label))
}

function partsOf(row: string) {
  const [network = '', host = '', names = '', addresses = ''] = row.split(' ')
  return {
    network,
    target: `${host}/${addresses}`,
    names: names === '' ? [] : names.split(','),
    addresses: addresses === '' ? [] : addresses.split(','),
  }
}

function append(table: PackedMap, key: string, item: string): void {
  const before = table.get(key)
  table.set(key, before === undefined ? item : `${before} ${item}`)
}

/** Takes one such item out of the list. */
function drop(table: PackedMap, key: string, item: string): void {
  const items = table.get(key)?.split(' ') ?? []
  const at = items.indexOf(item)
  if (at >= 0) items.splice(at, 1)
  if (items.length === 0) table.delete(key)
  else table.set(key, items.join(' '))
}

function lower(text: string): string {
  return text.toLowerCase()
}
