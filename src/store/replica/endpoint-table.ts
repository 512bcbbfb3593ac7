/**
 * The replica's endpoints: those of this host whole, and those of others, of which there may be tens of
 * thousands, packed. One of them is found by its id or its name at once; those of a host or a network are
 * found by looking at all, for which nobody asks often.
 */

import { PackedMap } from '../../lib/packed-map.ts'
import type { Endpoint, PublishedEndpoint } from '../../model/endpoint.ts'
import { Numbered, RecordPacker } from './record-packer.ts'
import { sameRecord } from './records.ts'

type AnyEndpoint = Endpoint | PublishedEndpoint
type Placeless = Omit<PublishedEndpoint, 'hostId' | 'networkId'>

export class EndpointTable {
  readonly #own = new Map<string, Endpoint>()
  /** By id: the number of the host, the number of the network and the other fields. */
  readonly #others = new PackedMap()
  readonly #hosts = new Numbered<string>()
  readonly #networks = new Numbered<string>()
  readonly #packer = new RecordPacker<Placeless>(['ifname', 'labels'])
  /** The id, by the number of the network and the name. */
  readonly #names = new PackedMap()
  /** Ids of others that have the same name in the same network, the last told of at the end; by the same key. */
  readonly #namesakes = new Map<string, readonly string[]>()
  /** How many there are of a host or a network, by its id. */
  readonly #counts = new Map<string, number>()

  get size(): number {
    return this.#own.size + this.#others.size
  }

  countOf(owner: string): number {
    return this.#counts.get(owner) ?? 0
  }

  get(id: string): AnyEndpoint | undefined {
    const packed = this.#others.get(id)
    return packed === undefined ? this.#own.get(id) : this.#unpack(packed)
  }

  /** The id of the endpoint that has the name in the network. */
  named(networkId: string, name: string): string | undefined {
    return this.#names.get(this.#nameKey(networkId, name))
  }

  /** Everything that is there all the while is seen, whatever else changes meanwhile. */
  *values(): Generator<AnyEndpoint> {
    for (const id of [...this.#own.keys(), ...this.#others.keys()]) {
      const endpoint = this.get(id)
      if (endpoint !== undefined) yield endpoint
    }
  }

  ofHost(hostId: string): readonly AnyEndpoint[] {
    if (this.countOf(hostId) === 0) return []
    const own = Array.from(this.#own.values()).filter((endpoint) => endpoint.hostId === hostId)
    const others = this.#others.values(`${this.#hosts.of(hostId)} `)
    return [...own, ...Array.from(others, (packed) => this.#unpack(packed))]
  }

  ofNetwork(networkId: string): readonly AnyEndpoint[] {
    if (this.countOf(networkId) === 0) return []
    const network = `${this.#networks.of(networkId)}`
    const found: AnyEndpoint[] = []
    for (const endpoint of this.#own.values()) {
      if (endpoint.networkId === networkId) found.push(endpoint)
    }
    for (const packed of this.#others.values()) {
      if (packed.split(' ', 2)[1] === network) found.push(this.#unpack(packed))
    }
    return found
  }

  /** True when the record stands there already, word for word. */
  has(endpoint: AnyEndpoint): boolean {
    const { id } = endpoint
    if ('sandbox' in endpoint) return sameRecord(this.#own.get(id), endpoint)
    return this.#others.get(id) === this.#pack(endpoint)
  }

  /** False when the record stands there already, word for word. */
  put(endpoint: AnyEndpoint): boolean {
    const { id, networkId, hostId, name } = endpoint
    const packed = 'sandbox' in endpoint ? undefined : this.#pack(endpoint)
    if (packed === undefined ? this.has(endpoint) : this.#others.get(id) === packed) return false
    this.remove(id)
    if ('sandbox' in endpoint) this.#own.set(id, endpoint)
    else if (packed !== undefined) this.#others.set(id, packed)
    if (name !== undefined) this.#takeName(this.#nameKey(networkId, name), id)
    this.#count(networkId, 1)
    this.#count(hostId, 1)
    return true
  }

  /** The record that was there. */
  remove(id: string): AnyEndpoint | undefined {
    const before = this.get(id)
    if (before === undefined) return undefined
    const { networkId, hostId, name } = before
    this.#own.delete(id)
    this.#others.delete(id)
    if (name !== undefined) this.#giveName(this.#nameKey(networkId, name), id)
    this.#count(networkId, -1)
    this.#count(hostId, -1)
    return before
  }

  /** Two hosts that were apart may have given one name: the last that is told of has it. */
  #takeName(key: string, id: string): void {
    const before = this.#names.get(key)
    if (before !== undefined) this.#keepNamesakes(key, [...this.#namesakesOf(key), before])
    this.#names.set(key, id)
  }

  #giveName(key: string, id: string): void {
    let namesakes = this.#namesakesOf(key).filter((each) => each !== id)
    if (this.#names.get(key) === id) {
      const next = namesakes.at(-1)
      if (next === undefined) this.#names.delete(key)
      else this.#names.set(key, next)
      namesakes = namesakes.slice(0, -1)
    }
    this.#keepNamesakes(key, namesakes)
  }

  #namesakesOf(key: string): readonly string[] {
    return this.#namesakes.get(key) ?? []
  }

  #keepNamesakes(key: string, ids: readonly string[]): void {
    if (ids.length > 0) this.#namesakes.set(key, ids)
    else this.#namesakes.delete(key)
  }

  #pack({ hostId, networkId, ...rest }: PublishedEndpoint): string {
    const [host, network] = [this.#hosts.of(hostId), this.#networks.of(networkId)]
    return `${host} ${network} ${this.#packer.pack(rest)}`
  }

  #unpack(packed: string): PublishedEndpoint {
    const [afterHost, afterNetwork] = spaces(packed)
    const hostId = this.#hosts.at(Number(packed.slice(0, afterHost))) ?? ''
    const networkId = this.#networks.at(Number(packed.slice(afterHost, afterNetwork))) ?? ''
    return { ...this.#packer.unpack(packed.slice(afterNetwork)), hostId, networkId }
  }

  #nameKey(networkId: string, name: string): string {
    return `${this.#networks.of(networkId)} ${name}`
  }

  #count(owner: string, difference: 1 | -1): void {
    const count = this.countOf(owner) + difference
    if (count === 0) this.#counts.delete(owner)
    else this.#counts.set(owner, count)
  }
}

/** Where the first two spaces are. */
function spaces(text: string): readonly [number, number] {
  const first = text.indexOf(' ')
  return [first, text.indexOf(' ', first + 1)]
}
