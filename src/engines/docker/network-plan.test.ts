import { expect, test } from 'bun:test'
import fc from 'fast-check'
import type { DockerSide, EngineNetwork } from '../../model/engine-network.ts'
import type { Network } from '../../model/network.ts'
import { parseIP } from '../../net/ip.ts'
import { parsePrefix } from '../../net/prefix.ts'
import type { ListedNetwork } from './engine-shapes.ts'
import { MADE_BY_US, type NetworkScene, orderOf, planNetworks } from './network-plan.ts'

const OLD = '2026-01-01T00:00:00.000Z'
const SETTLED_MS = Date.parse('2026-01-01T00:01:00.000Z')
const YOUNG = '2026-01-01T00:01:30.000Z'

function side(name: string, fields: Partial<DockerSide> = {}): DockerSide {
  return { name, options: {}, labels: {}, ranges: [], ...fields }
}

function network(id: string, fields: Partial<Network> = {}): Network {
  return {
    ...{ schema: 1, id, name: `our-${id}`, vni: 4097 },
    prefixes: [prefix('10.90.0.0/16')],
    gateways: [ip('10.90.0.1')],
    ...{ carrier: 'auto', internal: false, masquerade: true, open: [], labels: {}, createdAt: OLD },
    ...fields,
  }
}

function record(id: string, networkId: string, fields: Partial<EngineNetwork> = {}): EngineNetwork {
  return {
    ...{ schema: 1, id, networkId, hostId: 'h', engine: 'docker', options: {}, internal: false },
    ...{ pools: [], madeByUs: false, createdAt: OLD },
    ...fields,
  }
}

function listed(id: string, name: string, fields: Partial<ListedNetwork> = {}): ListedNetwork {
  return {
    ...{ id, name, createdAt: OLD, scope: 'local', driver: 'carrick', ipamDriver: 'carrick' },
    ...{ internal: false, options: {}, labels: {} },
    pools: [{ subnet: '10.90.0.0/16', range: '', gateway: '10.90.0.1', aux: {} }],
    ...fields,
  }
}

function plan(fields: Partial<NetworkScene>) {
  return planNetworks({
    ...{ networks: [], bound: [], listed: [], takenAway: new Set<string>() },
    ...{ settledMs: SETTLED_MS, sameEngine: true },
    isOurs: (driver) => driver === 'carrick',
    ...fields,
  })
}

const ours = { [MADE_BY_US]: 'n1' }

test('a network that is to be everywhere is made here', () => {
  const blue = network('n1', { docker: side('blue') })
  const { actions, states } = plan({ networks: [blue, network('n2')] })
  expect(actions).toEqual([{ kind: 'create', network: blue, docker: side('blue') }])
  expect(states).toEqual([{ networkId: 'n1', name: 'blue', state: 'wanted' }])
})

test('one that the engine has, and calls as it should, needs nothing', () => {
  const { actions, states } = plan({
    networks: [network('n1', { docker: side('blue') })],
    bound: [record('e1', 'n1', { name: 'blue', madeByUs: true })],
    listed: [listed('e1', 'blue', { labels: ours })],
  })
  expect(actions).toEqual([])
  expect(states).toEqual([{ networkId: 'n1', name: 'blue', engineId: 'e1', state: 'here' }])
})

test('what a user made here is shared under its name, with labels, options and range, then noted', () => {
  const made = network('n1', { labels: { 'com.docker.network.id': 'e1' } })
  const seen = listed('e1', 'Blue_1', {
    ...{ options: { 'carrick.mtu': '1400' }, labels: { team: 'a' } },
    pools: [{ subnet: '10.90.0.0/16', range: '10.90.5.0/24', gateway: '', aux: {} }],
  })
  const { actions } = plan({ networks: [made], bound: [record('e1', 'n1')], listed: [seen] })
  const docker = side('Blue_1', {
    ...{ options: { 'carrick.mtu': '1400' }, labels: { team: 'a' } },
    ranges: [prefix('10.90.5.0/24')],
  })
  const noted = { ...record('e1', 'n1'), name: 'Blue_1' }
  expect(actions).toEqual([
    { kind: 'share', network: made, docker },
    { kind: 'note', record: noted },
  ])
})

test('one that was there before and only taken up is marked so', () => {
  const [action] = plan({
    networks: [network('n1')],
    bound: [record('e1', 'n1')],
    listed: [listed('e1', 'blue')],
  }).actions
  expect(action).toMatchObject({ kind: 'share', docker: { options: {}, takenUp: true } })
})

test('a network whose addresses the engine chooses by itself is pointed out', () => {
  const { states } = plan({
    networks: [network('n1', { docker: side('blue') })],
    bound: [record('e1', 'n1', { name: 'red' })],
    listed: [listed('e1', 'red', { ipamDriver: 'default' })],
  })
  expect(states[0]?.detail).toBe(
    'elsewhere it is called blue; the engine chooses addresses by itself: make it with --ipam-driver carrick instead',
  )
})

test('swarm spreads its networks itself: they are only noted', () => {
  const { actions } = plan({
    networks: [network('n1')],
    bound: [record('e1', 'n1')],
    listed: [listed('e1', 'blue', { scope: 'swarm' })],
  })
  expect(actions.map(({ kind }) => kind)).toEqual(['note'])
  // A manager lists it though it does not have it.
  const managed = plan({
    networks: [network('n1')],
    listed: [listed('e1', 'blue', { scope: 'swarm' })],
  })
  expect(managed).toEqual({ actions: [], states: [] })
})

test('what is gone from the cluster, or not shared any more, goes from the engine', () => {
  const removal = { kind: 'remove', engineId: 'e1', name: 'blue' } as const
  const bound = [record('e1', 'n1', { name: 'blue' })]
  expect(plan({ bound, listed: [listed('e1', 'blue')] }).actions).toEqual([removal])
  const networks = [network('n1')]
  expect(plan({ networks, bound, listed: [listed('e1', 'blue')] }).actions).toEqual([removal])
})

test('what the engine does not have any more is forgotten, and its removal decided about', () => {
  const blue = network('n1', { docker: side('blue') })
  const bound = [record('e1', 'n1', { name: 'blue' })]
  expect(plan({ networks: [blue], bound }).actions).toEqual([
    { kind: 'forget', engineId: 'e1' },
    { kind: 'give-up', network: blue },
  ])
})

test('an engine that lost all it had removed nothing: its networks are made again', () => {
  const blue = network('n1', { docker: side('blue') })
  const bound = [record('e1', 'n1', { name: 'blue' })]
  const { actions } = plan({ networks: [blue], bound, sameEngine: false })
  expect(actions.map(({ kind }) => kind)).toEqual(['forget', 'create'])
})

test('what was noted a moment ago may not be listed yet', () => {
  const blue = network('n1', { docker: side('blue') })
  const bound = [record('e1', 'n1', { createdAt: YOUNG })]
  expect(plan({ networks: [blue], bound }).actions).toEqual([])
})

test('a name that somebody else has is told of, and nothing is done', () => {
  const blue = network('n1', { docker: side('blue') })
  const foreign = listed('f1', 'blue', { driver: 'bridge', ipamDriver: 'default' })
  const { actions, states } = plan({ networks: [blue], listed: [foreign] })
  expect(actions).toEqual([])
  expect(states).toMatchObject([{ name: 'blue', state: 'clash' }])
  expect(states[0]?.detail).toContain('bridge')
})

test('of several on one engine the oldest stays', () => {
  const { actions } = plan({
    networks: [network('n1', { docker: side('blue') })],
    bound: [
      record('e2', 'n1', { name: 'blue', madeByUs: true, createdAt: YOUNG }),
      record('e1', 'n1', { name: 'blue', madeByUs: true }),
    ],
    listed: [listed('e1', 'blue', { labels: ours }), listed('e2', 'blue', { labels: ours })],
  })
  expect(actions).toEqual([{ kind: 'remove', engineId: 'e2', name: 'blue' }])
})

test('a network with our driver of which nothing is noted is found by its subnets, or told of', () => {
  const networks = [network('n1', { docker: side('blue') })]
  const found = plan({ networks, listed: [listed('e1', 'blue')] })
  expect(found.actions).toMatchObject([{ kind: 'note', record: { id: 'e1', networkId: 'n1' } }])
  const lost = plan({ listed: [listed('e1', 'blue')] })
  expect(lost.actions).toEqual([])
  expect(lost.states).toMatchObject([{ name: 'blue', state: 'unknown' }])
})

test('an order tells the engine everything, in the first one’s words', () => {
  const changed = network('n1', {
    prefixes: [prefix('10.90.0.0/16'), prefix('fd90::/48')],
    gateways: [ip('10.90.0.1'), ip('fd90::1')],
    ...{ internal: true, mtuBytes: 1300 },
  })
  const docker = side('Blue_1', {
    options: { 'carrick.mtu': '1400', 'carrick.name': 'x', 'com.docker.network.driver.mtu': '9' },
    ...{ labels: { team: 'a' }, ranges: [prefix('10.90.5.0/24')] },
    aux: { r1: ip('10.90.5.5') },
  })
  expect(orderOf(changed, docker, 'carrick')).toEqual({
    ...{ Name: 'Blue_1', CheckDuplicate: true, Driver: 'carrick', Internal: true },
    EnableIPv6: true,
    IPAM: {
      Driver: 'carrick',
      Config: [
        {
          ...{ Subnet: '10.90.0.0/16', Gateway: '10.90.0.1', IPRange: '10.90.5.0/24' },
          AuxiliaryAddresses: { r1: '10.90.5.5' },
        },
        { Subnet: 'fd90::/48', Gateway: 'fd90::1' },
      ],
    },
    Options: docker.options,
    Labels: { team: 'a', [MADE_BY_US]: 'n1' },
  })
})

test('whatever is known and listed: nothing foreign is touched, nothing is made twice', () => {
  const ids = fc.constantFrom('n1', 'n2', 'n3')
  const engineIds = fc.constantFrom('e1', 'e2', 'e3', 'f1')
  const names = fc.constantFrom('blue', 'red')
  const scenes = fc.record({
    networks: fc.uniqueArray(fc.record({ id: ids, docker: fc.option(names, { nil: undefined }) }), {
      selector: ({ id }) => id,
    }),
    bound: fc.uniqueArray(fc.record({ id: engineIds, networkId: ids }), {
      selector: ({ id }) => id,
    }),
    listed: fc.uniqueArray(fc.record({ id: engineIds, name: names, byUs: fc.boolean() }), {
      selector: ({ id }) => id,
    }),
    takenAway: fc.array(ids),
    sameEngine: fc.boolean(),
  })
  fc.assert(
    fc.property(scenes, (drawn) => {
      const foreign = drawn.listed.filter(({ id }) => id === 'f1')
      const { actions } = plan({
        networks: drawn.networks.map(({ id, docker }) =>
          network(id, docker === undefined ? {} : { docker: side(docker) }),
        ),
        bound: drawn.bound
          .filter(({ id }) => id !== 'f1')
          .map(({ id, networkId }) => record(id, networkId, { name: 'blue' })),
        listed: drawn.listed.map(({ id, name, byUs }) =>
          id === 'f1'
            ? listed(id, name, { driver: 'bridge', ipamDriver: 'default' })
            : listed(id, name, byUs ? { labels: ours } : {}),
        ),
        takenAway: new Set(drawn.takenAway),
        sameEngine: drawn.sameEngine,
      })
      const made = actions.flatMap((each) => (each.kind === 'create' ? [each.network.id] : []))
      expect(new Set(made).size).toBe(made.length)
      for (const action of actions) {
        if (action.kind === 'remove')
          expect(foreign.map(({ id }) => id)).not.toContain(action.engineId)
        if (action.kind !== 'create') continue
        expect(drawn.listed.map(({ name }) => name)).not.toContain(action.docker.name)
        expect(drawn.takenAway).not.toContain(action.network.id)
      }
    }),
  )
})

function prefix(text: string) {
  const parsed = parsePrefix(text)
  if (parsed === undefined) throw new Error(text)
  return parsed
}

function ip(text: string) {
  const parsed = parseIP(text)
  if (parsed === undefined) throw new Error(text)
  return parsed
}
