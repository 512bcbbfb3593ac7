import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { Endpoint, PublishedEndpoint } from '../model/endpoint.ts'
import { ENGINE_LABELS } from '../model/engine-network.ts'
import type { Network } from '../model/network.ts'
import { ip } from '../net/testing.ts'
import { type Asker, type Found, Names } from './names.ts'
import { endpointOf, engineEndpointOf, hostOf, networkOf, remoteEndpointOf } from './testing.ts'

const one = hostOf(1, '192.0.2.1')
const two = hostOf(2, '192.0.2.2')
const three = hostOf(3, '192.0.2.3')
const blue = networkOf('blue', 100, ['10.80.0.0/16', 'fd80::/48'], 'vxlan')
const red = networkOf('red', 101, ['10.80.0.0/16'], 'vxlan')
const green: Network = {
  ...networkOf('green', 102, ['10.90.0.0/16'], 'vxlan'),
  docker: { name: 'Shop_Default', options: {}, labels: {}, ranges: [] },
}

const inBlue: Asker = { networkId: blue.id, source: ip('10.80.9.9') }
const inRed: Asker = { networkId: red.id, source: ip('10.80.9.9') }

type AnyEndpoint = Endpoint | PublishedEndpoint

function namesOf(...endpoints: readonly AnyEndpoint[]): Names {
  const names = new Names()
  for (const network of [blue, red, green]) names.putNetwork(network)
  for (const endpoint of endpoints) names.putEndpoint(endpoint)
  return names
}

function alias<T extends AnyEndpoint>(endpoint: T, ...names: readonly string[]): T {
  return { ...endpoint, labels: { [ENGINE_LABELS.names]: names.join(',') } }
}

function told<T extends string>(found: Found<T>): string {
  return found.kind === 'known' ? ['known', ...found.values.toSorted()].join(' ') : found.kind
}

describe('a name', () => {
  const web = alias(
    endpointOf('web', blue, one, ['10.80.0.2', 'fd80::2']),
    'Shop_Web',
    'a.b-c',
    'WEB',
    'f00dcafe1234',
    'not a name',
  )
  const twin = remoteEndpointOf('web', red, two, ['10.80.0.2'])
  const names = namesOf(
    web,
    { ...twin, id: 'ep-twin' },
    alias(remoteEndpointOf('x', green, two, ['10.90.0.2']), 'db'),
  )
  for (const { name, asker, want } of [
    { name: 'web', asker: inBlue, want: 'known 10.80.0.2 fd80::2' },
    { name: 'WeB', asker: inBlue, want: 'known 10.80.0.2 fd80::2' },
    { name: 'shop_web', asker: inBlue, want: 'known 10.80.0.2 fd80::2' },
    { name: 'f00dcafe1234', asker: inBlue, want: 'known 10.80.0.2 fd80::2' },
    { name: 'a.b-c', asker: inBlue, want: 'known 10.80.0.2 fd80::2' },
    { name: 'a.b-c.blue', asker: inRed, want: 'known 10.80.0.2 fd80::2' },
    { name: 'not a name', asker: inBlue, want: 'foreign' },
    { name: 'web', asker: inRed, want: 'known 10.80.0.2' },
    { name: 'web.blue', asker: inRed, want: 'known 10.80.0.2 fd80::2' },
    { name: 'web.RED', asker: undefined, want: 'known 10.80.0.2' },
    { name: 'web', asker: undefined, want: 'foreign' },
    { name: 'db', asker: inBlue, want: 'foreign' },
    { name: 'db.green', asker: inBlue, want: 'known 10.90.0.2' },
    { name: 'db.shop_default', asker: undefined, want: 'known 10.90.0.2' },
    { name: 'gone.blue', asker: inBlue, want: 'unknown' },
    { name: 'www.example.blue', asker: inBlue, want: 'foreign' },
    { name: 'blue', asker: undefined, want: 'known' },
    { name: 'www.example.org', asker: inBlue, want: 'foreign' },
    { name: '', asker: inBlue, want: 'foreign' },
    { name: '.', asker: inBlue, want: 'foreign' },
    { name: '.blue', asker: inBlue, want: 'unknown' },
  ]) {
    test(`"${name}" asked ${asker === undefined ? 'from nowhere' : `in ${asker.networkId}`} is ${want}`, () => {
      expect(told(names.addresses(asker, name))).toBe(want)
    })
  }

  for (const { address, asker, want } of [
    { address: '10.80.0.2', asker: inBlue, want: 'known web.blue' },
    { address: '10.80.0.2', asker: inRed, want: 'known web.red' },
    { address: '10.80.0.2', asker: undefined, want: 'known web.blue web.red' },
    { address: 'fd80::2', asker: inRed, want: 'known web.blue' },
    { address: '10.80.0.3', asker: inBlue, want: 'unknown' },
    { address: '192.0.2.1', asker: inBlue, want: 'foreign' },
  ]) {
    test(`${address} asked ${asker === undefined ? 'from nowhere' : `in ${asker.networkId}`} is ${want}`, () => {
      expect(told(names.names(asker, ip(address)))).toBe(want)
    })
  }
})

test('an alias of several leads to all of them, and to those that are left', () => {
  const all = [one, two, three].map((host, i) =>
    alias(remoteEndpointOf(`web${i}`, blue, host, [`10.80.0.${i + 2}`]), 'web'),
  )
  const names = namesOf(...all)
  expect(told(names.addresses(inBlue, 'web'))).toBe('known 10.80.0.2 10.80.0.3 10.80.0.4')
  names.removeEndpoint('ep-web1')
  expect(told(names.addresses(inBlue, 'web'))).toBe('known 10.80.0.2 10.80.0.4')
  for (const { id } of all) names.removeEndpoint(id)
  expect(told(names.addresses(inBlue, 'web'))).toBe('foreign')
  expect(told(names.names(inBlue, ip('10.80.0.2')))).toBe('unknown')
})

test('containers of a host without sign of life are told only where there are no others', () => {
  const names = namesOf(
    alias(remoteEndpointOf('a', blue, one, ['10.80.0.2']), 'web'),
    alias(remoteEndpointOf('b', blue, two, ['10.80.0.3']), 'web'),
  )
  names.setAlive(two.id, false)
  expect(told(names.addresses(inBlue, 'web'))).toBe('known 10.80.0.2')
  expect(told(names.addresses(inBlue, 'b'))).toBe('known 10.80.0.3')
  names.setAlive(one.id, false)
  expect(told(names.addresses(inBlue, 'web'))).toBe('known 10.80.0.2 10.80.0.3')
  names.setAlive(two.id, true)
  expect(told(names.addresses(inBlue, 'web'))).toBe('known 10.80.0.3')
})

test('whose addresses are only held has no name', () => {
  const held = { ...endpointOf('aux', blue, one, ['10.80.0.9']), attachment: 'held' } as const
  expect(told(namesOf(held).addresses(inBlue, 'aux'))).toBe('foreign')
})

test('a container on several networks knows the names of all, its first network first', () => {
  const sandbox = { path: '/run/netns/box', inode: 7 }
  const names = namesOf(
    { ...endpointOf('box', blue, one, ['10.80.9.9']), sandbox },
    { ...endpointOf('box2', green, one, ['10.90.9.9']), sandbox, order: 1 },
    remoteEndpointOf('db', green, two, ['10.90.0.2']),
    remoteEndpointOf('web', blue, two, ['10.80.0.2']),
    { ...remoteEndpointOf('web', green, two, ['10.90.0.3']), id: 'ep-web-green' },
  )
  expect(told(names.addresses(inBlue, 'db'))).toBe('known 10.90.0.2')
  expect(told(names.addresses(inBlue, 'web'))).toBe('known 10.80.0.2')
  expect(told(names.addresses({ ...inBlue, source: ip('10.80.9.8') }, 'db'))).toBe('foreign')
  names.removeEndpoint('ep-box2')
  expect(told(names.addresses(inBlue, 'db'))).toBe('foreign')
})

test('a container of an engine is known by what the engine calls it', () => {
  const labels = { [ENGINE_LABELS.container]: 'c1' }
  const names = namesOf(
    { ...engineEndpointOf('box', blue, one, ['10.80.9.9']), labels },
    { ...engineEndpointOf('box2', green, one, ['10.90.9.9']), labels },
    remoteEndpointOf('db', green, two, ['10.90.0.2']),
  )
  expect(told(names.addresses(inBlue, 'db'))).toBe('known 10.90.0.2')
})

test('of several networks of one name the asker’s own is meant', () => {
  const names = new Names()
  const [a, b] = ['net-a', 'net-b'].map((id, i) => {
    const network = { ...networkOf(`n${i}`, 200 + i, [`10.${i}.0.0/16`], 'vxlan'), id }
    names.putNetwork(network, ['app_default'])
    names.putEndpoint({ ...remoteEndpointOf('web', network, one, [`10.${i}.0.2`]), id: `ep-${id}` })
    return network
  })
  const from = (network: Network | undefined): Asker => ({
    networkId: network?.id ?? '',
    source: ip('10.0.0.9'),
  })
  expect(told(names.addresses(from(a), 'web.app_default'))).toBe('known 10.0.0.2')
  expect(told(names.addresses(from(b), 'web.app_default'))).toBe('known 10.1.0.2')
  expect(told(names.addresses(undefined, 'web.app_default'))).toBe('known 10.0.0.2')
  names.removeNetwork('net-a')
  expect(told(names.addresses(undefined, 'web.app_default'))).toBe('known 10.1.0.2')
})

test('what comes of many changes is what the last state gives at once', () => {
  const networks = [blue, red, green]
  const anEndpoint = fc.record({
    id: fc.nat(7).map((i) => `ep${i}`),
    network: fc.constantFrom(...networks),
    host: fc.constantFrom(one, two),
    name: fc.constantFrom(undefined, 'a', 'b', 'C'),
    aliases: fc.subarray(['a', 'B', 'c', 'd.e']),
    address: fc.nat(4).map((i) => `10.80.0.${i + 2}`),
    held: fc.boolean(),
    own: fc.boolean(),
  })
  const aChange = fc.oneof(
    anEndpoint.map((put) => ({ put })),
    fc.nat(7).map((i) => ({ remove: `ep${i}` })),
    fc.constantFrom(...networks).map((network) => ({ network })),
    fc.constantFrom(...networks).map((network) => ({ without: network })),
    fc.record({ alive: fc.boolean(), host: fc.constantFrom(one, two) }),
  )
  const askers: readonly (Asker | undefined)[] = [inBlue, inRed, undefined]
  const questions = ['a', 'b', 'c', 'd.e', 'a.blue', 'c.red', 'd.e.green', 'blue', 'x.green']
  const everything = (names: Names): readonly string[] =>
    askers.flatMap((asker) => [
      ...questions.map((name) => told(names.addresses(asker, name))),
      ...[2, 3, 4, 5].map((i) => told(names.names(asker, ip(`10.80.0.${i}`)))),
    ])
  fc.assert(
    fc.property(fc.array(aChange, { maxLength: 60 }), (changes) => {
      const step = new Names()
      const [endpoints, known] = [new Map<string, AnyEndpoint>(), new Map<string, Network>()]
      const silent = new Set<string>()
      for (const change of changes) {
        if ('put' in change) {
          const { id, network, host, name, aliases, address, held, own } = change.put
          const make = own ? endpointOf : remoteEndpointOf
          const { name: _, ...bare } = alias(make(id, network, host, [address]), ...aliases)
          const endpoint: AnyEndpoint = {
            ...bare,
            id,
            ...(name === undefined ? {} : { name }),
            ...(held ? { attachment: 'held' as const } : {}),
          }
          endpoints.set(id, endpoint)
          step.putEndpoint(endpoint)
        } else if ('remove' in change) {
          endpoints.delete(change.remove)
          step.removeEndpoint(change.remove)
        } else if ('network' in change) {
          known.set(change.network.id, change.network)
          step.putNetwork(change.network)
        } else if ('without' in change) {
          known.delete(change.without.id)
          step.removeNetwork(change.without.id)
        } else {
          if (change.alive) silent.delete(change.host.id)
          else silent.add(change.host.id)
          step.setAlive(change.host.id, change.alive)
        }
      }
      const whole = new Names()
      for (const host of silent) whole.setAlive(host, false)
      for (const endpoint of [...endpoints.values()].reverse()) whole.putEndpoint(endpoint)
      for (const network of known.values()) whole.putNetwork(network)
      expect(everything(step)).toEqual(everything(whole))
      step.clear()
      expect(everything(step)).toEqual(everything(new Names()))
    }),
    { numRuns: 300 },
  )
})
