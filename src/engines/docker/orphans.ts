/**
 * What is left of endpoints, addresses and pools that the engine knows nothing of: it may forget them without a
 * word, and never takes a word of ours for it. Pure. What the engine's present session has brought forth
 * appears late in its lists, and is given a grace.
 */

import type { PendingPool } from '../../control/docker-control.ts'
import type { Endpoint } from '../../model/endpoint.ts'
import { ENGINE_LABELS } from '../../model/engine-network.ts'
import type { InspectedNetwork } from './engine-shapes.ts'

/** The engine lists an endpoint once its container joins it, seconds after it was made at most. */
export const GRACE_MS = 60_000
/** Pools of swarm's managers: no engine lists what becomes of them before a task needs it. */
const GLOBAL_SPACE = 'carrick_global/'

export interface OrphanScene {
  /** As they were before the engine was asked. */
  readonly own: readonly Endpoint[]
  readonly pending: readonly PendingPool[]
  /** Every network that uses one of our drivers. */
  readonly inspected: readonly InspectedNetwork[]
  /** False when a network could not be looked at: then no address is without owner. */
  readonly complete: boolean
  /** Ids of our networks that could not be looked at. */
  readonly unseen: ReadonlySet<string>
  /** Endpoints that the engine's list of containers names. */
  readonly listed: ReadonlySet<string>
  readonly nowMs: number
  /** Beginning of the engine's present session at the latest known; milliseconds since 1970. */
  readonly sessionMs: number
}

export interface Orphans {
  readonly endpoints: readonly Endpoint[]
  readonly held: readonly Endpoint[]
  readonly pools: readonly PendingPool[]
  /** What would be an orphan if its grace were over. */
  readonly waiting: readonly { readonly id: string; readonly dueMs: number }[]
}

export function findOrphans(scene: OrphanScene): Orphans {
  const { inspected, nowMs } = scene
  const known = new Set(scene.listed)
  const used = new Set<string>()
  for (const { endpoints, pools } of inspected) {
    for (const { endpointId } of endpoints) known.add(endpointId)
    for (const { subnet, aux } of pools) {
      for (const address of Object.values(aux)) used.add(`${subnet} ${address}`)
      for (const { addresses } of endpoints) {
        for (const address of addresses) used.add(`${subnet} ${address}`)
      }
    }
  }
  const waiting: { id: string; dueMs: number }[] = []
  const isOver = ({ id, createdAt }: { id: string; createdAt: string }): boolean => {
    const madeMs = Date.parse(createdAt)
    const dueMs = madeMs < scene.sessionMs ? nowMs : madeMs + GRACE_MS
    if (dueMs > nowMs) waiting.push({ id, dueMs })
    return dueMs <= nowMs
  }
  return {
    endpoints: scene.own.filter((own) => {
      const engineId = own.labels[ENGINE_LABELS.endpoint]
      if (engineId === undefined || known.has(engineId)) return false
      return !scene.unseen.has(own.networkId) && isOver(own)
    }),
    held: scene.own.filter((own) => {
      const pool = own.labels[ENGINE_LABELS.pool]
      if (own.attachment !== 'held' || pool === undefined || !scene.complete) return false
      if (own.labels[ENGINE_LABELS.aux] !== undefined) return false
      const subnet = subnetOf(pool)
      return !own.addresses.some((ip) => used.has(`${subnet} ${ip}`)) && isOver(own)
    }),
    pools: scene.pending.filter((pool) => {
      if (!scene.complete || pool.poolId.startsWith(GLOBAL_SPACE)) return false
      const has = inspected.some(({ pools }) => pools.some(({ subnet }) => subnet === pool.prefix))
      return !has && isOver({ id: pool.poolId, createdAt: pool.createdAt })
    }),
    waiting,
  }
}

/** `<space>/<address>/<length>[/<range>]` */
function subnetOf(poolId: string): string {
  return poolId.split('/').slice(1, 3).join('/')
}
