/** The plan against golden files that an operator can read; `UPDATE_GOLDEN=1 bun test src/plan` rewrites them. */

import { expect, test } from 'bun:test'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { printHostState } from '../hoststate/print.ts'
import type { HostState } from '../hoststate/state.ts'
import { ip } from '../net/testing.ts'
import { NO_LIMITS } from './paths.ts'
import { planAll, type Snapshot } from './plan.ts'
import {
  endpointOf,
  engineEndpointOf,
  hostOf,
  knownEndpoints,
  networkOf,
  publishedOf,
  remoteEndpointOf,
  snapshotOf,
} from './testing.ts'

const one = hostOf(1, '192.0.2.1', '2001:db8::1')
const two = hostOf(2, '192.0.2.2', '2001:db8::2')
const far = hostOf(3, '198.51.100.3')
const onlyIPv6 = hostOf(4, '2001:db8:1::4')

const blue = networkOf('blue', 100, ['10.80.0.0/16', 'fd80::/48'], 'vxlan')
const red = networkOf('red', 101, ['10.80.0.0/16'], 'local')
const green = networkOf('green', 102, ['10.90.0.0/16'], 'direct')
const quiet = { ...networkOf('quiet', 104, ['10.95.0.0/24'], 'auto'), internal: true }
const wide = networkOf('wide', 105, ['10.96.0.0/24', 'fd96::/64', '10.97.0.0/24'], 'vxlan')
const auto = networkOf('auto', 103, ['fd90::/64'], 'auto')

const cases: Readonly<Record<string, Snapshot>> = {
  'a host alone': snapshotOf(one, [], []),
  'a container at home and one elsewhere': snapshotOf(
    one,
    [blue],
    [
      endpointOf('web', blue, one, ['10.80.255.1', 'fd80::ff01']),
      remoteEndpointOf('db', blue, two, ['10.80.254.1', 'fd80::fe01']),
    ],
    [one, two, far, onlyIPv6],
  ),
  'a local network stays at home': snapshotOf(
    one,
    [red],
    [
      endpointOf('web', red, one, ['10.80.255.1']),
      remoteEndpointOf('db', red, two, ['10.80.254.1']),
    ],
    [one, two],
  ),
  'direct networks announce their prefixes': snapshotOf(
    one,
    [green, auto],
    [
      endpointOf('a', green, one, ['10.90.255.1']),
      remoteEndpointOf('b', auto, two, ['fd90::fe01']),
    ],
    [one, two],
  ),
  'an internal network and a second one with a subnet that was added': snapshotOf(
    one,
    [wide, quiet],
    [
      { ...endpointOf('a', quiet, one, ['10.95.0.2']), order: 0 },
      { ...endpointOf('b', wide, one, ['10.97.0.2', 'fd96::2']), order: 1, ifname: 'eth1' },
    ],
    [one],
  ),
  'a carrier that is being changed accepts both': snapshotOf(
    one,
    [
      { ...red, alsoAccepts: 'vxlan' },
      { ...blue, alsoAccepts: 'direct' },
    ],
    [
      endpointOf('web', red, one, ['10.80.255.1']),
      remoteEndpointOf('db', red, two, ['10.80.254.1']),
    ],
    [one, two],
  ),
  'published ports on every address and on one and on loopback': snapshotOf(
    one,
    [blue, quiet],
    [
      endpointOf('web', blue, one, ['10.80.255.1', 'fd80::ff01']),
      endpointOf('shy', quiet, one, ['10.95.0.2']),
    ],
    [one],
    NO_LIMITS,
    [],
    [
      publishedOf('1', blue, one, 'web', { hostPort: 8080, containerPort: 80 }),
      publishedOf('2', blue, one, 'web', {
        hostPort: 9000,
        count: 2,
        hostAddress: ip('192.0.2.1'),
      }),
      publishedOf('3', blue, one, 'web', { protocol: 'udp', hostAddress: ip('127.0.0.1') }),
      publishedOf('4', blue, one, 'gone', { hostPort: 8081 }),
      publishedOf('5', quiet, one, 'shy', { hostPort: 8082 }),
    ],
  ),
  'containers of an engine and addresses that are held': snapshotOf(
    one,
    [blue],
    [
      engineEndpointOf('web', blue, one, ['10.80.255.1', 'fd80::ff01']),
      { ...endpointOf('aux', blue, one, ['10.80.255.9']), attachment: 'held' },
      { ...remoteEndpointOf('db', blue, two, ['10.80.254.1']), attachment: 'engine' },
      { ...remoteEndpointOf('far', blue, two, ['10.80.254.9']), attachment: 'held' },
    ],
    [one, two],
  ),
  'names that are asked for in networks with equal prefixes and in an internal one': {
    ...snapshotOf(
      one,
      [blue, { ...red, vni: 106 }, quiet],
      [
        endpointOf('web', blue, one, ['10.80.255.1', 'fd80::ff01']),
        endpointOf('twin', red, one, ['10.80.255.1']),
        endpointOf('shy', quiet, one, ['10.95.0.2']),
      ],
      [one],
    ),
    resolvers: [ip('169.254.77.53'), ip('fd3b:ca44:1c53::53')],
  },
  'containers with limits each way or one way': snapshotOf(
    one,
    [blue],
    [
      {
        ...endpointOf('web', blue, one, ['10.80.255.1', 'fd80::ff01']),
        bandwidth: {
          toContainer: { bitsPerSecond: 8_000_000, burstBits: 8_000_000 },
          fromContainer: { bitsPerSecond: 16_000_000 },
        },
      },
      {
        ...endpointOf('up', blue, one, ['10.80.255.2']),
        bandwidth: { fromContainer: { bitsPerSecond: 1e9 } },
      },
      {
        ...engineEndpointOf('app', blue, one, ['10.80.255.3']),
        bandwidth: { toContainer: { bitsPerSecond: 8_000_000 } },
      },
    ],
    [one],
  ),
  'endpoints of networks and hosts that are gone ask for nothing': snapshotOf(
    one,
    [],
    [
      endpointOf('web', blue, one, ['10.80.255.1']),
      remoteEndpointOf('db', blue, two, ['10.80.1.1']),
    ],
    [one],
  ),
}

for (const [name, snapshot] of Object.entries(cases)) {
  test(`the plan of ${name}`, () => {
    const file = join(import.meta.dirname, 'golden', `${name.replaceAll(' ', '-')}.txt`)
    const text = printHostState(planAll(snapshot))
    if (process.env['UPDATE_GOLDEN'] !== undefined) writeFileSync(file, text)
    expect(text).toBe(readFileSync(file, 'utf8'))
  })
}

test('the plan does not depend on the order in which things are known', () => {
  for (const snapshot of Object.values(cases)) {
    const reversed: Snapshot = {
      ...snapshot,
      networks: new Map([...snapshot.networks].reverse()),
      hosts: new Map([...snapshot.hosts].reverse()),
      endpoints: knownEndpoints([...snapshot.endpoints.values()].reverse()),
      publications: new Map([...snapshot.publications].reverse()),
    }
    const sorted = (state: HostState): unknown => [...state].sort(([a], [b]) => (a < b ? -1 : 1))
    expect(sorted(planAll(reversed))).toEqual(sorted(planAll(snapshot)))
  }
})
