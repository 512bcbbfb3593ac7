/**
 * A cluster in a test that lives through bad days, and keeps its own books: which containers really run
 * where, with which addresses. After every step the books are held against invariant 9.
 */

import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { Scene } from '../agent/scene.ts'
import { NetworkError } from '../lib/errors.ts'
import type { AddressClaim, Block } from '../model/block.ts'
import type { Endpoint } from '../model/endpoint.ts'
import { ENGINE_LABELS } from '../model/engine-network.ts'
import { keys, ROOT } from '../model/keys.ts'
import type { Reservation } from '../model/reservation.ts'
import { type Prefix, prefixContains, prefixesOverlap } from '../net/prefix.ts'
import type { MemorySnapshot } from '../store/memory.ts'
import type { Store } from '../store/store.ts'
import { drive, Member } from './member.ts'
import { slowDown } from './slow-store.ts'
import { nameOf, owns, readAll } from './world-records.ts'

export interface Place {
  readonly state: string
  member: Member
  store: Store
  connected: boolean
  /** The operator has said that it is gone. */
  removed: boolean
  /** Containers that run here: known to the kernel, whatever journals and stores say. */
  readonly running: Map<string, Endpoint>
  hasBackup: boolean
}

export class World {
  readonly scene = new Scene()
  readonly places: Place[] = []
  readonly #subnets: ReadonlyMap<string, readonly string[]>
  #snapshot: MemorySnapshot | undefined
  #vnis = new Map<number, string>()
  #storeWasRestored = false
  #sandboxes = 0
  #seed: number

  constructor(subnets: ReadonlyMap<string, readonly string[]>, seed: number) {
    this.#subnets = subnets
    this.#seed = seed
  }

  /** Marsaglia's xorshift32: the same seed gives the same delays. */
  #random(): number {
    this.#seed ^= this.#seed << 13
    this.#seed ^= this.#seed >>> 17
    this.#seed ^= this.#seed << 5
    return (this.#seed >>> 0) / 2 ** 32
  }

  async begin(hosts: number): Promise<void> {
    for (let i = 0; i < hosts; i++) {
      const store = slowDown(this.scene.cluster.client(), {
        clock: this.scene.clock,
        random: () => this.#random(),
        callMs: 20,
        watchMs: 300,
      })
      const running = new Map<string, Endpoint>()
      const member = await this.#start(`h${i}`, store, running)
      const state = `h${i}`
      const rest = { connected: true, removed: false, hasBackup: false }
      this.places.push({ state, member, store, running, ...rest })
    }
    for (const name of this.#subnets.keys()) await this.makeNetwork(this.place(0), name)
    await this.pass(2_000)
  }

  async end(): Promise<void> {
    try {
      for (const { member } of this.places) await member.stop()
    } finally {
      this.scene[Symbol.dispose]()
    }
  }

  place(n: number): Place {
    const place = this.places[n % this.places.length]
    assert.ok(place)
    return place
  }

  pass(ms: number): Promise<void> {
    return this.scene.clock.advance(ms)
  }

  #start(state: string, store: Store, running: Map<string, Endpoint>): Promise<Member> {
    const adopt = (): readonly Endpoint[] => [...running.values()]
    return drive(this.scene, Member.start(this.scene, { state, store, adopt }))
  }

  /** Runs what may be refused; anything but a refusal is a bug. */
  async #attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await drive(this.scene, work())
    } catch (error) {
      if (error instanceof NetworkError) return undefined
      throw error
    }
  }

  async makeNetwork({ member }: Place, name: string): Promise<void> {
    const subnets = this.#subnets.get(name) ?? []
    const network = await this.#attempt(() =>
      member.control.createNetwork({ name, subnets, carrier: 'vxlan', force: true }),
    )
    if (network === undefined || this.#storeWasRestored) return
    assert.equal(this.#vnis.get(network.vni), undefined, `VNI ${network.vni} was used before`)
    this.#vnis.set(network.vni, network.id)
  }

  async removeNetwork({ member }: Place, name: string): Promise<void> {
    await this.#attempt(() => member.control.removeNetwork(name))
  }

  async reserve({ member }: Place, network: string, name: string, address: string): Promise<void> {
    await this.#attempt(() => member.control.reserve({ network, name, addresses: [address] }))
  }

  async unreserve({ member }: Place, network: string, name: string): Promise<void> {
    await this.#attempt(() => member.control.unreserve(network, name))
  }

  async attach(
    place: Place,
    network: string,
    addresses: readonly string[],
    name?: string,
  ): Promise<void> {
    const netns = `/run/netns/${++this.#sandboxes}`
    const spec = { addresses, netns, ...(name === undefined ? {} : { name }) }
    const done = await this.#attempt(() => place.member.attach(network, spec))
    if (done !== undefined) place.running.set(done.endpoint.id, done.endpoint)
  }

  /** As an engine does: an address is held, then an endpoint plugged with it, or not. */
  async plug(
    place: Place,
    network: string,
    { address, within, only }: { address?: string; within?: Prefix; only: boolean },
  ): Promise<void> {
    const { control, agent } = place.member
    const engineId = `engine-${++this.#sandboxes}`
    const wish = { ...(address === undefined ? {} : { address }), ...(within && { within }) }
    const labels = { [ENGINE_LABELS.pool]: engineId }
    const held = await this.#attempt(() => control.holdAddress({ network, labels, ...wish }))
    const holder = held && agent.replica.ownEndpoint(held.endpointId)
    if (held === undefined || holder === undefined) return
    place.running.set(holder.id, holder)
    if (only) return
    const done = await this.#attempt(() =>
      control.plug({
        ...{ network, addresses: [held.address] },
        labels: { [ENGINE_LABELS.endpoint]: engineId },
      }),
    )
    await this.#attempt(() => control.releaseHeld(network, held.address))
    if (agent.replica.ownEndpoint(holder.id) === undefined) place.running.delete(holder.id)
    if (done !== undefined) place.running.set(done.endpoint.id, done.endpoint)
  }

  /** Every host attaches at once, and some ask for an address; some answers get lost. */
  async burst(
    network: string,
    wanted: readonly (string | undefined)[],
    lost: number,
  ): Promise<void> {
    const [first] = this.places
    if (first !== undefined) this.scene.cluster.loseAnswers(first.store, lost)
    const begun = this.places.map(({ member }, i) => {
      const address = wanted[i]
      const addresses = address === undefined ? [] : [address]
      const netns = `/run/netns/${++this.#sandboxes}`
      return member.control.attach({ network, addresses, netns })
    })
    const done = await drive(this.scene, Promise.allSettled(begun))
    for (const [i, result] of done.entries()) {
      if (result.status === 'fulfilled') {
        const { endpoint } = result.value
        this.place(i).running.set(endpoint.id, endpoint)
      } else if (!(result.reason instanceof NetworkError)) throw result.reason
    }
    if (first !== undefined) this.scene.cluster.loseAnswers(first.store, 0)
  }

  async detach(place: Place, n: number): Promise<void> {
    const ids = [...place.running.keys()]
    const id = ids[n % Math.max(ids.length, 1)]
    if (id === undefined) return
    // A detach that is refused leaves the container; one the journal does not know is adopted later.
    await this.#attempt(() => place.member.control.detach(id))
    if (place.member.agent.replica.ownEndpoint(id) === undefined) place.running.delete(id)
  }

  cut(place: Place): void {
    place.connected = false
    place.member.cut()
  }

  async heal(place: Place): Promise<void> {
    place.connected = true
    this.scene.cluster.heal(place.store)
    await this.pass(5_000)
  }

  async restart(place: Place, crash: boolean): Promise<void> {
    await this.#down(place, crash)
    await this.#up(place)
  }

  async #down(place: Place, crash: boolean): Promise<void> {
    if (crash) await place.member.kill()
    else await place.member.stop()
  }

  async #up(place: Place): Promise<void> {
    const { store, connected } = place
    if (connected) this.scene.cluster.heal(store)
    else this.scene.cluster.cut(store)
    place.member = await this.#start(place.state, store, place.running)
  }

  async backUpDisk(place: Place): Promise<void> {
    await this.#down(place, false)
    this.#copyDisk(place.state, `${place.state}-backup`)
    place.hasBackup = true
    await this.#up(place)
  }

  /** Only with the store in reach can an old disk be seen for what it is. */
  async restoreDisk(place: Place): Promise<void> {
    if (!place.hasBackup || !place.connected) return
    // The commits of the last moments are published: what never reached the store, nobody can know of.
    await this.pass(5_000)
    await this.#down(place, true)
    this.scene.removeState(place.state)
    this.#copyDisk(`${place.state}-backup`, place.state)
    await this.#up(place)
  }

  #copyDisk(from: string, to: string): void {
    mkdirSync(dirname(this.scene.path(to)), { recursive: true })
    copyFileSync(this.scene.path(from), this.scene.path(to))
  }

  /** A copy of the disk wakes up on another machine, or on the same one a second time. */
  async clone(place: Place, network: string): Promise<void> {
    if (!place.connected) return
    const [near, far] = [`${place.state}-near`, `${place.state}-far`]
    await this.#down(place, false)
    this.#copyDisk(place.state, near)
    this.#copyDisk(place.state, far)
    await this.#up(place)
    await this.pass(2_000) // the first to start is the one that lives
    const start = (state: string, machineId: string): Promise<Member> =>
      Member.start(this.scene, { state, store: this.scene.cluster.client(), machineId })
    await assert.rejects(start(far, 'machine-2'), NetworkError)
    const twin = await start(near, 'machine-1')
    await this.pass(2_000)
    const done = await this.#attempt(() => twin.attach(network, { netns: '/run/netns/twin' }))
    if (done !== undefined) place.running.set(done.endpoint.id, done.endpoint)
    await twin.stop()
    this.scene.removeState(near)
    this.scene.removeState(far)
    assert.equal(done, undefined, 'the clone gave an address')
  }

  snapshotStore(): void {
    this.#snapshot = this.scene.cluster.snapshot()
  }

  /** At least one host that has seen everything is there to notice. */
  async restoreStore(): Promise<void> {
    const [witness] = this.places.filter(({ connected, removed }) => connected && !removed)
    if (this.#snapshot === undefined || witness === undefined) return
    await this.pass(5_000)
    const snapshot = this.#snapshot
    this.scene.cluster.restore(snapshot)
    this.#storeWasRestored = true
    await this.pass(20_000)
  }

  /** The operator's word that a host is gone; it may still run, cut off. */
  async reclaim(place: Place): Promise<void> {
    const operator = this.places.find(
      (other) => other !== place && other.connected && !other.removed,
    )
    if (operator === undefined || place.connected || place.removed) return
    await this.pass(20_000)
    const gone = await this.#attempt(async () => {
      await operator.member.control.removeHost(place.member.hostId)
      return true
    })
    if (gone !== true) return
    place.removed = true
    // A backup from before would bring the host back: the operator would have to say it again.
    this.#snapshot = undefined
  }

  /** Two containers never have one address; nobody's claims overlap. */
  async check(): Promise<void> {
    const owners = new Map<string, string>()
    for (const { running, removed, state } of this.places) {
      if (removed) continue
      for (const { id, networkId, addresses } of running.values()) {
        for (const address of addresses) {
          const key = `${networkId} ${address}`
          const mine = `${id} on ${state}`
          assert.equal(
            owners.get(key),
            undefined,
            `${address} belongs to ${owners.get(key)} and ${mine}`,
          )
          owners.set(key, mine)
        }
      }
    }
    await this.#checkClaims()
  }

  async #checkClaims(): Promise<void> {
    const store = this.scene.cluster.client()
    const blocks = await readAll<Block>(store, `${ROOT}blocks/`)
    for (const [i, a] of blocks.entries()) {
      for (const b of blocks.slice(i + 1)) {
        const apart = a.networkId !== b.networkId || !prefixesOverlap(a.prefix, b.prefix)
        assert.ok(apart, `blocks ${a.prefix} and ${b.prefix} overlap`)
      }
    }
  }

  /** Everybody is back: the store says what runs, in the right networks, and everything has an owner. */
  async settle(): Promise<void> {
    for (const place of this.places) if (!place.connected) await this.heal(place)
    await this.pass(200_000)
    await this.check()
    const store = this.scene.cluster.client()
    const networks = new Set(
      (await readAll<{ id: string }>(store, keys.network(''))).map(({ id }) => id),
    )
    const want = this.places
      .filter(({ removed }) => !removed)
      .flatMap(({ running }) => [...running.values()])
      .filter(({ networkId }) => networks.has(networkId))
    const have = await readAll<Endpoint>(store, `${ROOT}endpoints/`)
    assert.deepEqual(have.map(nameOf).sort(), want.map(nameOf).sort())
    const blocks = await readAll<Block>(store, `${ROOT}blocks/`)
    const claims = await readAll<AddressClaim>(store, `${ROOT}addresses/`)
    for (const { networkId, hostId, addresses } of want) {
      for (const address of addresses) {
        const covered =
          blocks.some(
            (block) => owns(block, networkId, hostId) && prefixContains(block.prefix, address),
          ) || claims.some((claim) => owns(claim, networkId, hostId) && claim.address === address)
        assert.ok(covered, `${address} has no owner in the store`)
      }
    }
    await this.#checkReserved()
    await this.#checkBooks()
  }

  /** Nobody is given by chance what is reserved, now that all have heard of it. */
  async #checkReserved(): Promise<void> {
    const store = this.scene.cluster.client()
    const reservations = await readAll<Reservation>(store, `${ROOT}reservations/`)
    const reserved = new Set(
      reservations.flatMap(({ networkId, addresses }) => addresses.map((a) => `${networkId} ${a}`)),
    )
    for (const place of this.places) {
      if (place.removed) continue
      const before = new Set(place.running.keys())
      for (const network of this.#subnets.keys()) await this.attach(place, network, [])
      for (const { id, networkId, addresses } of place.running.values()) {
        if (before.has(id)) continue
        for (const address of addresses) {
          assert.ok(!reserved.has(`${networkId} ${address}`), `${address} is reserved`)
        }
      }
    }
  }

  /** What is left of bad days puts itself right. */
  async #checkBooks(): Promise<void> {
    const [member] = this.places.filter(({ removed }) => !removed).map((place) => place.member)
    await this.pass(60_000)
    const check = await this.#attempt(async () => member?.control.checkIpam({ repair: false }))
    assert.deepEqual(check?.findings ?? [], [])
  }
}
