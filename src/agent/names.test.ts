import { expect, test } from 'bun:test'
import { DEFAULT_MARK_MASK } from '../hoststate/marks.ts'
import type { PublishedEndpoint } from '../model/endpoint.ts'
import { ip } from '../net/testing.ts'
import { hostOf, networkOf, remoteEndpointOf } from '../plan/testing.ts'
import type { Replica, ReplicaChange } from '../store/replica/replica.ts'
import { NameKeeper } from './names.ts'

const host = hostOf(2, '192.0.2.2')
const blue = networkOf('blue', 7, ['10.80.0.0/16'], 'vxlan')
const MANY = 1_000

function endpoint(i: number): PublishedEndpoint {
  return remoteEndpointOf(`box${i}`, blue, host, [`10.80.${i >> 8}.${i & 255}`])
}

/** A cluster with many endpoints, whose replica tells of changes. */
function scene() {
  const endpoints = new Map(Array.from({ length: MANY }, (_, i) => [`ep-box${i}`, endpoint(i)]))
  let tell: (changes: readonly ReplicaChange[]) => void = () => {}
  const replica: Partial<Replica> = {
    hostId: 'host1',
    networks: () => [blue],
    network: (id) => (id === blue.id ? blue : undefined),
    hosts: () => [host],
    alive: () => ({ bootId: '', instance: '', since: '' }),
    blocks: () => [],
    engineNetworks: () => [],
    ownEndpoints: () => [],
    ownEndpoint: () => undefined,
    endpoint: (id) => endpoints.get(id),
    *endpoints() {
      for (const id of [...endpoints.keys()]) {
        const found = endpoints.get(id)
        if (found !== undefined) yield found
      }
    },
    subscribe: (listener) => {
      tell = listener
      return () => {}
    },
  }
  const keeper = new NameKeeper({
    replica: replica as Replica, // the keeper asks for no more of it
    resolvers: [ip('169.254.77.53')],
    packetMarkMask: DEFAULT_MARK_MASK,
  })
  const change = (i: number, now: PublishedEndpoint | undefined): void => {
    const { id, networkId, hostId } = endpoint(i)
    if (now === undefined) endpoints.delete(id)
    else endpoints.set(id, now)
    tell([{ kind: 'endpoint', id, networkId, hostId }])
  }
  const addresses = (name: string) => {
    const found = keeper.names.addresses({ networkId: blue.id, source: ip('10.80.9.9') }, name)
    return found.kind === 'known' ? found.values.map(String) : []
  }
  return { keeper, change, addresses }
}

test('what changes while names are read at the start is there as it is in the end', async () => {
  const { keeper, change, addresses } = scene()
  using _ = keeper
  change(0, undefined)
  change(MANY - 1, undefined)
  change(MANY - 2, { ...endpoint(MANY - 2), addresses: [ip('10.80.99.1')] })
  change(MANY, endpoint(MANY))
  expect(await keeper.complete).toBe(true)
  expect(addresses('box0')).toEqual([])
  expect(addresses(`box${MANY - 1}`)).toEqual([])
  expect(addresses(`box${MANY - 2}`)).toEqual(['10.80.99.1'])
  expect(addresses(`box${MANY}`)).toEqual(['10.80.3.232'])
  expect(addresses('box500')).toEqual(['10.80.1.244'])
})

test('who goes before every name is there says so', async () => {
  const { keeper } = scene()
  keeper[Symbol.dispose]()
  expect(await keeper.complete).toBe(false)
})
