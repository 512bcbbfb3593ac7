/**
 * Keeps the table of names and the list of doors at which they are asked for: in the same turn in which the
 * replica changes, so that a name is there before its attach has answered, and gone with its endpoint. At the
 * start there may be tens of thousands, which are read a few at a time: others have to be answered meanwhile.
 */

import { setImmediate } from 'node:timers/promises'

import { packetMarks } from '../hoststate/marks.ts'
import type { IP } from '../net/ip.ts'
import { Names } from '../plan/names.ts'
import { RESOLVER_PORT } from '../plan/resolver.ts'
import type { Replica, ReplicaChange } from '../store/replica/replica.ts'
import { Gateways } from './gateways.ts'

/** Where questions come in, and with which mark answers leave. */
export interface NameDoor {
  readonly address: IP
  readonly port: number
  /** Absent: for those who ask from no network. */
  readonly networkId?: string
  readonly mark: number
}

export interface NameKeeperOptions {
  readonly replica: Replica
  /** At most one per family. */
  readonly resolvers: readonly IP[]
  readonly packetMarkMask: number
}

/** Endpoints that are read before others get a turn: about a millisecond. */
const AT_ONCE = 200

export class NameKeeper implements Disposable {
  readonly names = new Names()
  /** Resolves with true when every name is there; with false when it was disposed before. */
  readonly complete: Promise<boolean>
  readonly #options: NameKeeperOptions
  readonly #gateways: Gateways
  readonly #stop: () => void
  #stopped = false
  #listener: (doors: readonly NameDoor[]) => void = () => {}

  constructor(options: NameKeeperOptions) {
    this.#options = options
    this.#gateways = new Gateways(options.replica, true)
    this.#stop = options.replica.subscribe((changes) => this.#changed(changes))
    this.#gateways.changed({ kind: 'all' })
    this.#takePlaces()
    this.complete = this.#load()
  }

  /** Calls the listener with all doors, now and whenever they are others. */
  onDoors(listener: (doors: readonly NameDoor[]) => void): void {
    this.#listener = listener
    listener(this.#doors)
  }

  [Symbol.dispose](): void {
    this.#stopped = true
    this.#stop()
  }

  /** What changes meanwhile is taken in as it changes, and read again here as it is then. */
  async #load(): Promise<boolean> {
    let read = 0
    for (const endpoint of this.#options.replica.endpoints()) {
      this.names.putEndpoint(endpoint)
      if (++read % AT_ONCE !== 0) continue
      await setImmediate()
      if (this.#stopped) return false
    }
    return true
  }

  #changed(changes: readonly ReplicaChange[]): void {
    let doors = false
    for (const change of changes) {
      this.#take(change)
      if (this.#gateways.changed(change).length > 0) doors = true
    }
    if (doors) this.#listener(this.#doors)
  }

  #take(change: ReplicaChange): void {
    switch (change.kind) {
      case 'all':
        this.#takeAll()
        break
      case 'network':
        this.#takeNetwork(change.id)
        break
      case 'engine-network':
        this.#takeNetwork(change.networkId)
        break
      case 'endpoint': {
        const endpoint = this.#options.replica.endpoint(change.id)
        if (endpoint === undefined) this.names.removeEndpoint(change.id)
        else this.names.putEndpoint(endpoint)
        break
      }
      case 'alive':
        this.#takeAlive(change.id)
        break
      default:
        break // no names depend on it
    }
  }

  #takeAll(): void {
    this.names.clear()
    this.#takePlaces()
    for (const endpoint of this.#options.replica.endpoints()) this.names.putEndpoint(endpoint)
  }

  #takePlaces(): void {
    const { replica } = this.#options
    for (const { id } of replica.networks()) this.#takeNetwork(id)
    for (const { id } of replica.hosts()) this.#takeAlive(id)
  }

  #takeNetwork(id: string): void {
    const { replica } = this.#options
    const network = replica.network(id)
    if (network === undefined) this.names.removeNetwork(id)
    else this.names.putNetwork(network, Array.from(replica.engineNetworks(id), nameOf).flat())
  }

  /** Whether it is told of or not, this host is alive. */
  #takeAlive(hostId: string): void {
    const { replica } = this.#options
    const alive = hostId === replica.hostId || replica.alive(hostId) !== undefined
    this.names.setAlive(hostId, alive)
  }

  get #doors(): readonly NameDoor[] {
    const { resolvers, packetMarkMask } = this.#options
    const { indexes, resolverPorts } = this.#gateways
    const marks = packetMarks(packetMarkMask)
    const places = [...resolverPorts].flatMap(([networkId, port]) => {
      const index = indexes.get(networkId)
      return index === undefined ? [] : [{ networkId, port, mark: marks.ofIndex(index) }]
    })
    const everywhere = [{ port: RESOLVER_PORT, mark: 0 }, ...places]
    return resolvers.flatMap((address) => everywhere.map((place) => ({ address, ...place })))
  }
}

function nameOf({ name }: { readonly name?: string }): readonly string[] {
  return name === undefined ? [] : [name]
}
