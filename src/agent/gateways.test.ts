/** Which networks have a gateway here, and what one change plans together. */

import { expect, test } from 'bun:test'
import type { Dataplane } from '../dataplane/dataplane.ts'
import type { ObjectChange } from '../dataplane/reconcile.ts'
import { DEFAULT_MARK_MASK } from '../hoststate/marks.ts'
import type { Log } from '../lib/log.ts'
import type { Block } from '../model/block.ts'
import type { Endpoint } from '../model/endpoint.ts'
import type { Network } from '../model/network.ts'
import { NO_LIMITS } from '../plan/paths.ts'
import { blockOf, endpointOf, hostOf, networkOf } from '../plan/testing.ts'
import type { Replica, ReplicaChange } from '../store/replica/replica.ts'
import { Gateways } from './gateways.ts'
import { Loop } from './loop.ts'

const one = hostOf(1, '192.0.2.1')
const two = hostOf(2, '192.0.2.2')
const blue = networkOf('blue', 100, ['10.80.0.0/16'], 'vxlan')
const twin = networkOf('twin', 101, ['10.80.0.0/16'], 'vxlan')
const red = networkOf('red', 102, ['10.81.0.0/16'], 'vxlan')

/** A replica that shows what it is told to; only what the loop asks for. */
class Shown {
  readonly hostId = one.id
  readonly complete = true
  readonly connected = true
  revision = 1
  readonly nets = new Map<string, Network>([blue, twin, red].map((each) => [each.id, each]))
  readonly eps = new Map<string, Endpoint>()
  blockList: readonly Block[] = []
  #listener: (changes: readonly ReplicaChange[]) => void = () => {}

  readonly network = (id: string) => this.nets.get(id)
  readonly networks = () => this.nets.values()
  readonly host = (id: string) => [one, two].find((each) => each.id === id)
  readonly hosts = () => [one, two]
  readonly endpoint = (id: string) => this.eps.get(id)
  readonly endpoints = () => this.eps.values()
  readonly endpointsOf = (id: string) => [...this.eps.values()].filter((e) => e.networkId === id)
  readonly endpointsOfHost = (id: string) => [...this.eps.values()].filter((e) => e.hostId === id)
  readonly ownEndpoint = (id: string) => this.eps.get(id)
  readonly ownEndpoints = () => this.eps.values()
  readonly blocks = (id: string) => this.blockList.filter((block) => block.networkId === id)
  readonly publicationsOfHost = () => []
  readonly publicationsOfEndpoint = () => []
  readonly publicationsOf = () => []
  readonly publication = () => undefined
  readonly onListed = () => () => {}
  readonly subscribe = (listener: (changes: readonly ReplicaChange[]) => void) => {
    this.#listener = listener
    return () => {}
  }

  change(...changes: readonly ReplicaChange[]): void {
    this.revision++
    this.#listener(changes)
  }

  get replica(): Replica & { onListed(listener: () => void): () => void } {
    return this as unknown as Replica & { onListed(listener: () => void): () => void }
  }
}

const endpointChange = ({ id, networkId, hostId }: Endpoint): ReplicaChange => ({
  kind: 'endpoint',
  id,
  networkId,
  hostId,
})

test('a network has a gateway here from the first block or endpoint to the last', () => {
  const shown = new Shown()
  const gateways = new Gateways(shown.replica, false)
  expect([...gateways.indexes]).toEqual([])
  const web = endpointOf('web', blue, one, ['10.80.0.7'])
  shown.eps.set(web.id, web)
  expect(gateways.changed(endpointChange(web))).toEqual([blue.id])
  const db = endpointOf('db', blue, one, ['10.80.0.8'])
  shown.eps.set(db.id, db)
  expect(gateways.changed(endpointChange(db))).toEqual([])
  shown.blockList = [blockOf(blue, one, '10.80.0.0/26'), blockOf(red, two, '10.81.0.0/26')]
  expect(gateways.changed({ kind: 'block', networkId: red.id })).toEqual([])
  shown.eps.clear()
  expect(gateways.changed(endpointChange(web))).toEqual([])
  shown.blockList = []
  expect(gateways.changed({ kind: 'block', networkId: blue.id })).toEqual([blue.id])
  expect([...gateways.indexes]).toEqual([])
})

test('a network that comes into use is new for those whose prefix it shares, and for no other', () => {
  const shown = new Shown()
  const gateways = new Gateways(shown.replica, false)
  shown.blockList = [blockOf(twin, one, '10.80.0.0/26'), blockOf(red, one, '10.81.0.0/26')]
  expect([...gateways.changed({ kind: 'all' })].sort()).toEqual([red.id, twin.id])
  expect(gateways.indexes.get(twin.id)).toBe(0)
  shown.blockList = [...shown.blockList, blockOf(blue, one, '10.80.1.0/26')]
  const changed = gateways.changed({ kind: 'block', networkId: blue.id })
  expect([...changed].sort()).toEqual([blue.id, twin.id])
  expect(gateways.indexes.get(blue.id)).toBe(0)
  expect(gateways.indexes.get(twin.id)).not.toBe(0)
  shown.nets.set(blue.id, { ...blue, internal: true })
  expect([...gateways.changed({ kind: 'network', id: blue.id })].sort()).toEqual([blue.id, twin.id])
  expect(gateways.indexes.has(blue.id)).toBe(false)
})

const log: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => log }

test('the first attach into a network brings its gateway along, in one step', async () => {
  const shown = new Shown()
  const applied: (readonly ObjectChange[])[] = []
  const dataplane = {
    apply: async (changes: readonly ObjectChange[]) => {
      applied.push(changes)
      return []
    },
    resync: async () => [],
    onRepair() {},
  } as unknown as Dataplane
  const stop = new AbortController()
  let sequence = 0
  const loop = new Loop({
    ...{ replica: shown.replica, dataplane, self: () => one, underlayDevices: () => ['eth0'] },
    ...{
      paths: () => NO_LIMITS,
      packetMarkMask: DEFAULT_MARK_MASK,
      resolvers: [],
      sequence: () => sequence,
    },
    ...{ now: () => new Date(0), log, signal: stop.signal, auditPeriodMs: 1_000_000 },
  })
  await loop.start()
  const web = endpointOf('web', twin, one, ['10.80.0.7'])
  shown.eps.set(web.id, web)
  sequence = 1
  shown.change(endpointChange(web))
  expect(await loop.settled(1, 1_000)).toEqual([])
  expect(applied.length).toBe(1)
  const objects = new Map(applied[0]?.map(({ object, wanted }) => [object, wanted]))
  expect([...objects.keys()].sort()).toEqual([
    'base',
    'endpoint/ep-web',
    'gateways',
    'network/net-twin',
  ])
  const kinds = objects.get('network/net-twin')?.map(({ kind }) => kind)
  expect(kinds).toContain('gateway')

  // The second one concerns nobody else.
  const db = endpointOf('db', twin, one, ['10.80.0.8'])
  shown.eps.set(db.id, db)
  sequence = 2
  shown.change(endpointChange(db))
  await loop.settled(2, 1_000)
  expect(applied[1]?.map(({ object }) => object)).toEqual(['endpoint/ep-db'])
  stop.abort(new Error('done'))
})
