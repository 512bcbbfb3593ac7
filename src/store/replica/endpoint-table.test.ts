import { test } from 'bun:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Endpoint, PublishedEndpoint } from '../../model/endpoint.ts'
import { EndpointTable } from './endpoint-table.ts'
import { published } from './fixtures.ts'

const [ME, NETWORKS, HOSTS] = ['h0', ['n0', 'n1'], ['h0', 'h1', 'h2']]
const some = <T>(values: readonly T[]) => fc.constantFrom(...values)
const step = fc.record({
  id: some(['a', 'b', 'c', 'd']),
  networkId: some(NETWORKS),
  hostId: some(HOSTS),
  name: some([undefined, 'web', 'db', 'wörk']),
  labels: some([{}, { app: 'web' }, { app: 'web', tier: '1' }]),
  remove: fc.boolean(),
})
type Change = typeof step extends fc.Arbitrary<infer T> ? T : never

function endpointOf({ id, networkId, hostId, name, labels }: Change): Endpoint | PublishedEndpoint {
  const { name: _, ...anonymous } = published(networkId, hostId, 1)
  const endpoint = { ...anonymous, id, labels, ...(name === undefined ? {} : { name }) }
  if (hostId !== ME) return endpoint
  return { ...endpoint, sandbox: { path: '/run/netns/x', inode: 7 }, device: 'ckx', number: 1 }
}

test('after any history everything is found by id, name, host and network', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const table = new EndpointTable()
      const plain = new Map<string, Endpoint | PublishedEndpoint>()
      for (const change of steps) {
        const endpoint = endpointOf(change)
        const before = plain.get(endpoint.id)
        if (change.remove) {
          plain.delete(endpoint.id)
          assert.deepEqual(table.remove(endpoint.id), before)
          continue
        }
        plain.set(endpoint.id, endpoint)
        const changed = table.put(endpoint)
        assert.equal(changed, JSON.stringify(before) !== JSON.stringify(endpoint))
        assert.ok(table.has(endpoint))
        if (changed && endpoint.name !== undefined) {
          assert.equal(table.named(endpoint.networkId, endpoint.name), endpoint.id)
        }
      }
      const all = [...plain.values()]
      const byId = (a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : 1)
      const holds = (found: Iterable<Endpoint | PublishedEndpoint>, expected: typeof all) =>
        assert.deepEqual([...found].sort(byId), expected.sort(byId))
      assert.equal(table.size, all.length)
      holds(table.values(), all)
      for (const each of all) assert.deepEqual(table.get(each.id), each)
      for (const hostId of HOSTS) {
        const expected = all.filter((each) => each.hostId === hostId)
        holds(table.ofHost(hostId), expected)
        assert.equal(table.countOf(hostId), expected.length)
      }
      for (const networkId of NETWORKS) {
        holds(
          table.ofNetwork(networkId),
          all.filter((each) => each.networkId === networkId),
        )
        for (const name of ['web', 'db', 'wörk']) {
          const id = table.named(networkId, name)
          const holders = all.filter((each) => each.networkId === networkId && each.name === name)
          if (id === undefined) assert.deepEqual(holders, [])
          else assert.ok(holders.some((each) => each.id === id))
        }
      }
    }),
  )
})

test('labels that all differ are kept too', () => {
  const table = new EndpointTable()
  const endpoints = Array.from({ length: 12_000 }, (_, i) => ({
    ...published('n0', 'h1', i),
    labels: { number: `${i}` },
  }))
  for (const endpoint of endpoints) table.put(endpoint)
  for (const endpoint of endpoints) assert.deepEqual(table.get(endpoint.id), endpoint)
})
