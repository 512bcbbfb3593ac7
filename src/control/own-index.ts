/**
 * What the endpoints of this host occupy besides addresses: numbers, device names, places in sandboxes.
 */

import { createHash } from 'node:crypto'
import { NetworkError } from '../lib/errors.ts'
import { type Endpoint, NO_SANDBOX } from '../model/endpoint.ts'
import type { EndpointChange, OwnEndpoints } from './own-endpoints.ts'

/** Beginning of every device of ours; the rest is a hash. linux/if.h IFNAMSIZ: 15 bytes. */
const DEVICE_PREFIX = 'ck'
const DEVICE_HASH_LENGTH = 12

/** Name of the host's end of an endpoint's veth: from the id alone, so that it can be found again. */
export function deviceNameOf(endpointId: string): string {
  const hash = createHash('sha256').update(endpointId).digest('hex')
  return DEVICE_PREFIX + hash.slice(0, DEVICE_HASH_LENGTH)
}

/** An interface name of a sandbox, kept for an attach under way. */
export interface Place extends Disposable {
  readonly ifname: string
}

export class OwnIndex implements Disposable {
  readonly #endpoints: OwnEndpoints
  readonly #byNumber = new Map<number, string>()
  readonly #devices = new Set<string>()
  /** `<inode> <ifname>` to the endpoint there, or to a word for one being attached. */
  readonly #places = new Map<string, string>()
  /** Inode of a sandbox to the endpoints in it. */
  readonly #bySandbox = new Map<number, Set<string>>()
  readonly #perNetwork = new Map<string, number>()
  /** Endpoints whose record is gone and whose number the kernel may still use. */
  readonly #leaving = new Map<string, number>()
  #lowestFree = 1
  readonly #stop: () => void

  constructor(endpoints: OwnEndpoints) {
    this.#endpoints = endpoints
    this.#stop = endpoints.follow((change) => this.#changed(change))
  }

  [Symbol.dispose](): void {
    this.#stop()
  }

  get(id: string): Endpoint | undefined {
    return this.#endpoints.get(id)
  }

  get count(): number {
    return this.#endpoints.count
  }

  countIn(networkId: string): number {
    return this.#perNetwork.get(networkId) ?? 0
  }

  /** The endpoint the datapath counts under this number. */
  byNumber(number: number): Endpoint | undefined {
    const id = this.#byNumber.get(number)
    return id === undefined ? undefined : this.#endpoints.get(id)
  }

  /** The smallest numbers no endpoint has; each is taken by committing its endpoint's record. */
  freeNumbers(count: number): readonly number[] {
    const free: number[] = []
    for (let number = this.#lowestFree; free.length < count; number++) {
      if (!this.#byNumber.has(number)) free.push(number)
    }
    this.#lowestFree = free[0] ?? this.#lowestFree
    return free
  }

  /** The endpoints that live in a sandbox. */
  *inSandbox(inode: number): Generator<Endpoint> {
    for (const id of this.#bySandbox.get(inode) ?? []) {
      const endpoint = this.#endpoints.get(id)
      if (endpoint !== undefined) yield endpoint
    }
  }

  /** A device name no endpoint has, always the same for the same id unless two ids collide. */
  deviceFor(endpointId: string): string {
    for (let salt = 0; ; salt++) {
      const device = deviceNameOf(salt === 0 ? endpointId : `${endpointId} ${salt}`)
      if (!this.#devices.has(device)) return device
    }
  }

  /**
   * Keeps an interface name of a sandbox for an attach, without one the first free of eth0, eth1, ...;
   * disposing lets it go, unless the endpoint's record stands by then. Throws `already-exists` when an
   * endpoint has it.
   */
  claimPlace(inode: number, wanted: string | undefined, attempted: string): Place {
    const ifname = wanted ?? this.#freeInterface(inode)
    const place = `${inode} ${ifname}`
    const holder = this.#places.get(place)
    if (holder !== undefined) {
      const endpoint = this.#endpoints.get(holder)
      const who = endpoint === undefined ? holder : `endpoint ${endpoint.name ?? endpoint.id}`
      throw new NetworkError(
        'already-exists',
        `Cannot ${attempted}: ${ifname} in this namespace belongs to ${who}`,
        { details: { endpoint: holder, device: ifname } },
      )
    }
    this.#places.set(place, 'an endpoint being attached')
    return {
      ifname,
      [Symbol.dispose]: () => {
        const holder = this.#places.get(place) ?? ''
        if (this.#endpoints.get(holder) === undefined) this.#places.delete(place)
      },
    }
  }

  #freeInterface(inode: number): string {
    for (let n = 0; ; n++) if (!this.#places.has(`${inode} eth${n}`)) return `eth${n}`
  }

  /** From now until `left`, the number of the endpoint stays taken although its record goes. */
  leaving(endpoint: Endpoint): void {
    this.#leaving.set(endpoint.id, endpoint.number)
  }

  left(endpointId: string): void {
    const number = this.#leaving.get(endpointId)
    this.#leaving.delete(endpointId)
    if (number !== undefined) this.#freeNumber(number, endpointId)
  }

  #changed({ before, after }: EndpointChange): void {
    if (before !== undefined) this.#remove(before)
    if (after !== undefined) this.#add(after)
  }

  #add(endpoint: Endpoint): void {
    const { id, number, device, sandbox, ifname, networkId } = endpoint
    this.#perNetwork.set(networkId, this.countIn(networkId) + 1)
    if (endpoint.attachment === 'held') return
    this.#byNumber.set(number, id)
    this.#devices.add(device)
    if (sandbox.inode === NO_SANDBOX.inode) return
    this.#places.set(`${sandbox.inode} ${ifname}`, id)
    const neighbours = this.#bySandbox.get(sandbox.inode) ?? new Set<string>()
    this.#bySandbox.set(sandbox.inode, neighbours.add(id))
  }

  #remove({ id, number, device, sandbox, ifname, networkId }: Endpoint): void {
    this.#devices.delete(device)
    const place = `${sandbox.inode} ${ifname}`
    if (this.#places.get(place) === id) this.#places.delete(place)
    const neighbours = this.#bySandbox.get(sandbox.inode)
    if (neighbours?.delete(id) === true && neighbours.size === 0) {
      this.#bySandbox.delete(sandbox.inode)
    }
    const left = this.countIn(networkId) - 1
    if (left > 0) this.#perNetwork.set(networkId, left)
    else this.#perNetwork.delete(networkId)
    if (!this.#leaving.has(id)) this.#freeNumber(number, id)
  }

  #freeNumber(number: number, id: string): void {
    if (this.#byNumber.get(number) !== id) return
    this.#byNumber.delete(number)
    this.#lowestFree = Math.min(this.#lowestFree, number)
  }
}
