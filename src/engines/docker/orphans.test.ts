import { expect, test } from 'bun:test'
import type { Endpoint } from '../../model/endpoint.ts'
import { ENGINE_LABELS } from '../../model/engine-network.ts'
import type { InspectedNetwork } from './engine-shapes.ts'
import { findOrphans, type OrphanScene } from './orphans.ts'

const NOW = Date.parse('2026-01-01T01:00:00.000Z')
const SESSION = Date.parse('2026-01-01T00:59:30.000Z')
const BEFORE = '2026-01-01T00:59:00.000Z'
const JUST = '2026-01-01T00:59:40.000Z'
const POOL = 'carrick_local/10.90.0.0/16'

function plugged(engineId: string, createdAt: string): Endpoint {
  const labels = { [ENGINE_LABELS.endpoint]: engineId }
  return { id: `our-${engineId}`, networkId: 'n1', labels, createdAt } as unknown as Endpoint
}

function held(address: string, createdAt: string, labels: object = {}): Endpoint {
  return {
    ...{ id: `held-${address}`, networkId: 'n1', attachment: 'held', addresses: [address] },
    ...{ labels: { [ENGINE_LABELS.pool]: POOL, ...labels }, createdAt },
  } as unknown as Endpoint
}

function inspected(fields: Partial<InspectedNetwork> = {}): InspectedNetwork {
  return {
    ...{ id: 'e1', name: 'blue', createdAt: BEFORE, scope: 'local', driver: 'carrick' },
    ...{ ipamDriver: 'carrick', internal: false, options: {}, labels: {}, endpoints: [] },
    pools: [{ subnet: '10.90.0.0/16', range: '', gateway: '', aux: { r1: '10.90.0.9' } }],
    ...fields,
  }
}

function find(fields: Partial<OrphanScene>) {
  const { endpoints, held, pools, waiting } = findOrphans({
    ...{ own: [], pending: [], inspected: [], complete: true, unseen: new Set<string>() },
    ...{ listed: new Set<string>(), nowMs: NOW, sessionMs: SESSION },
    ...fields,
  })
  return {
    gone: [...endpoints, ...held].map(({ id }) => id),
    pools: pools.map(({ poolId }) => poolId),
    waiting: waiting.map(({ id, dueMs }) => [id, dueMs - NOW] as const),
  }
}

test('what is older than the engine’s session goes at once, younger after its grace', () => {
  const own = [plugged('old', BEFORE), plugged('new', JUST)]
  expect(find({ own })).toEqual({ gone: ['our-old'], pools: [], waiting: [['our-new', 40_000]] })
  expect(find({ own, nowMs: NOW + 40_000 }).gone).toEqual(['our-old', 'our-new'])
})

test('what the engine lists in its networks or its containers stays', () => {
  const own = [plugged('a', BEFORE), plugged('b', BEFORE)]
  const seen = { containerKey: 'ep-a', name: 'web', endpointId: 'a', addresses: [] }
  const scene = { own, inspected: [inspected({ endpoints: [seen] })], listed: new Set(['b']) }
  expect(find(scene).gone).toEqual([])
})

test('nothing is judged that could not be looked at', () => {
  const own = [plugged('a', BEFORE), held('10.90.0.5', BEFORE)]
  expect(find({ own, unseen: new Set(['n1']), complete: false }).gone).toEqual([])
})

test('addresses without owner go, those of others’ containers and auxiliary ones stay', () => {
  const seen = { containerKey: 'c', name: 'x', endpointId: 'z', addresses: ['10.90.0.4'] }
  const own = [
    held('10.90.0.4', BEFORE),
    held('10.90.0.5', BEFORE),
    held('10.90.0.6', JUST),
    held('10.90.0.7', BEFORE, { [ENGINE_LABELS.aux]: 'r2' }),
    held('10.90.0.9', BEFORE),
  ]
  const { gone, waiting } = find({ own, inspected: [inspected({ endpoints: [seen] })] })
  expect(gone).toEqual(['held-10.90.0.5'])
  expect(waiting).toEqual([['held-10.90.0.6', 40_000]])
})

test('pools of which no network was made go', () => {
  const pool = (poolId: string, prefix: string, createdAt: string) =>
    ({ poolId, prefix, createdAt, space: 'carrick_local', aux: {}, automatic: true }) as never
  const pending = [
    pool(POOL, '10.90.0.0/16', BEFORE),
    pool('carrick_local/10.91.0.0/16', '10.91.0.0/16', BEFORE),
    pool('carrick_local/10.92.0.0/16', '10.92.0.0/16', JUST),
  ]
  expect(find({ pending, inspected: [inspected()] })).toMatchObject({
    pools: ['carrick_local/10.91.0.0/16'],
    waiting: [['carrick_local/10.92.0.0/16', 40_000]],
  })
})
