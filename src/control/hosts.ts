/**
 * The hosts of the cluster, and the operator's word that one of them is gone. A removal begins with the
 * host's own record: from then on nothing it writes is accepted, whatever it believes (R9). Only then go its
 * endpoints and published ports, and last its addresses, which others may claim from that moment.
 */

import { isNetworkError, NetworkError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import type { Host } from '../model/host.ts'
import { hostRecordsIn, keys, ROOT } from '../model/keys.ts'
import type { PathReport } from '../model/path.ts'
import type { Replica } from '../store/replica/replica.ts'
import type { KeyValue, Operation, Store } from '../store/store.ts'
import type { HostView } from './control.ts'
import { ownerIn } from './ipam/claimer.ts'
import { unchanged } from './ipam/claims.ts'
import { resolve } from './resolve.ts'

/** Operations of one transaction; etcd takes 128, and comparisons count on their own. */
const BATCH = 50
const PAGE = 500

export interface HostsDeps {
  readonly store: Store
  readonly replica: Replica
  readonly log: Log
  readonly hostId: string
  /** Those of this host, as they are now. */
  readonly paths: () => readonly PathReport[]
}

export class Hosts {
  readonly #deps: HostsDeps

  constructor(deps: HostsDeps) {
    this.#deps = deps
  }

  list(): readonly HostView[] {
    return [...this.#deps.replica.hosts()]
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map((host) => this.#view(host))
  }

  get(reference: string): HostView {
    const { replica } = this.#deps
    return this.#view(replica.host(reference) ?? resolve('host', reference, replica.hosts()))
  }

  #view(host: Host): HostView {
    const { replica, hostId, paths } = this.#deps
    const status = replica.status(host.id)
    const found = host.id === hostId ? paths() : (status?.paths ?? [])
    return {
      host,
      alive: replica.alive(host.id) !== undefined,
      self: host.id === hostId,
      status,
      paths: found.map((path) => ({
        ...path,
        hostName: replica.host(path.hostId)?.name ?? path.hostId,
      })),
      endpoints: replica.endpointCount(host.id),
    }
  }

  /** Takes a host out of the cluster; again, after an interruption, by its id. */
  async remove(reference: string): Promise<void> {
    const { replica, hostId, log } = this.#deps
    const host = replica.host(reference) ?? this.#leftover(reference)
    const id = host?.id ?? resolve('host', reference, replica.hosts()).id
    const name = replica.host(id)?.name ?? id
    if (id === hostId) {
      throw new NetworkError('conflict', `Cannot remove host ${name}: this daemon runs on it`, {
        hint: 'run the command on another host',
      })
    }
    if (replica.alive(id) !== undefined) {
      throw new NetworkError(
        'conflict',
        `Cannot remove host ${name}: it is alive; stop its daemon first`,
        { details: { host: name }, hint: 'systemctl stop carrick' },
      )
    }
    await this.#fence(id)
    await this.#dropRecords(id)
    await this.#dropOwned(`${ROOT}addresses/`, id)
    await this.#dropOwned(`${ROOT}blocks/`, id)
    log.info('host removed', { host: name })
  }

  /** What an interrupted removal left of a host whose record is gone. */
  #leftover(id: string): { readonly id: string } | undefined {
    const { replica } = this.#deps
    if (replica.endpointCount(id) > 0) return { id }
    for (const network of replica.networks()) {
      for (const block of replica.blocks(network.id)) if (block.hostId === id) return { id }
      for (const claim of replica.addressClaims(network.id)) if (claim.hostId === id) return { id }
    }
    return undefined
  }

  async #fence(id: string): Promise<void> {
    const { store } = this.#deps
    const { items } = await store.range({ key: keys.host(id) })
    const record = items[0]
    const success: Operation[] = [
      keys.host(id),
      keys.alive(id),
      keys.facts(id),
      keys.status(id),
    ].map((key) => ({ kind: 'delete', range: { key } }))
    if (record !== undefined) {
      const { name }: Host = JSON.parse(record.value)
      const index = await store.range({ key: keys.hostName(name) })
      if (index.items[0]?.value === id) {
        success.push({ kind: 'delete', range: { key: keys.hostName(name) } })
      }
    }
    try {
      await store.txn({ success })
    } catch (error) {
      if (!isNetworkError(error, 'forbidden')) throw error
      throw new NetworkError(
        'forbidden',
        'Cannot remove the host: only the host that serves the store may write records of others',
        { hint: 'run the command on that host', cause: error },
      )
    }
  }

  async #dropRecords(id: string): Promise<void> {
    const { store } = this.#deps
    const { items } = await store.range({ prefix: `${ROOT}networks/` }, { keysOnly: true })
    const networks = items.map(({ key }) => key.slice(`${ROOT}networks/`.length))
    for (let i = 0; i < networks.length; i += BATCH) {
      await store.txn({
        success: networks
          .slice(i, i + BATCH)
          .flatMap((networkId) => hostRecordsIn(networkId, id))
          .map((prefix) => ({ kind: 'delete', range: { prefix } })),
      })
    }
  }

  /** Removes the records under `root` that belong to the host, in pages and batches. */
  async #dropOwned(root: string, id: string): Promise<void> {
    const { store } = this.#deps
    let from = root
    for (;;) {
      const to = `${root}\u{10ffff}`
      const page = await store.range({ from, to }, { limit: PAGE })
      const owned = page.items.filter(({ value }) => ownerIn(value) === id)
      for (let i = 0; i < owned.length; i += BATCH) await this.#dropItems(owned.slice(i, i + BATCH))
      const last = page.items.at(-1)
      if (!page.more || last === undefined) return
      from = `${last.key}\0`
    }
  }

  async #dropItems(items: readonly KeyValue[]): Promise<void> {
    const result = await this.#deps.store.txn({
      compare: items.map(({ key, modRevision }) => unchanged(key, modRevision)),
      success: items.map(({ key }) => ({ kind: 'delete', range: { key } })),
    })
    if (result.succeeded) return
    throw new NetworkError(
      'conflict',
      'Cannot remove the addresses of the host: they are being changed; try again',
    )
  }
}
