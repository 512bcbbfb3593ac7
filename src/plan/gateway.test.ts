/** The host's place in its networks; golden files beside those of the plan. */

import { expect, test } from 'bun:test'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { printHostState } from '../hoststate/print.ts'
import type { Network } from '../model/network.ts'
import { planAll, type Snapshot } from './plan.ts'
import { blockOf, endpointOf, hostOf, networkOf, snapshotOf } from './testing.ts'

const one = hostOf(1, '192.0.2.1', '2001:db8::1')
const two = hostOf(2, '192.0.2.2', '2001:db8::2')

const blue = networkOf('blue', 100, ['10.80.0.0/16', 'fd80::/48'], 'vxlan')
const twin = networkOf('twin', 101, ['10.80.0.0/16', 'fd80::/48'], 'vxlan')
const home = networkOf('home', 102, ['10.81.0.0/24'], 'local')
const quiet: Network = { ...networkOf('quiet', 103, ['10.82.0.0/24'], 'vxlan'), internal: true }
const plain: Network = {
  ...networkOf('plain', 104, ['203.0.113.0/24', '2001:db8:80::/64'], 'direct'),
  masquerade: false,
  open: ['metadata'],
}
const grown: Network = networkOf('grown', 105, ['10.84.0.0/24', '10.85.0.0/24'], 'vxlan')
const global = networkOf('global', 106, ['2001:db8:90::/64', 'fd90::/64'], 'vxlan')

const cases: Readonly<Record<string, Snapshot>> = {
  'a gateway with blocks here and there': snapshotOf(one, [blue], [], [one, two], undefined, [
    blockOf(blue, one, '10.80.252.0/22'),
    blockOf(blue, one, '10.80.248.0/22'),
    blockOf(blue, one, 'fd80:0:0:ffff::/64'),
    blockOf(blue, two, '10.80.244.0/22'),
    blockOf(blue, two, 'fd80:0:0:fffe::/64'),
  ]),
  'two networks with equal prefixes': snapshotOf(
    one,
    [blue, twin],
    [
      endpointOf('a', blue, one, ['10.80.255.1', 'fd80::ffff:0:0:1']),
      endpointOf('b', twin, one, ['10.80.255.1', 'fd80::ffff:0:0:1']),
    ],
    [one],
    undefined,
    [blockOf(blue, one, '10.80.252.0/22'), blockOf(twin, one, '10.80.252.0/22')],
  ),
  'a gateway without a block of its own': snapshotOf(
    one,
    [home],
    [endpointOf('a', home, one, ['10.81.0.7'])],
  ),
  'no gateway of an internal network nor of one that is not in use here': snapshotOf(
    one,
    [quiet, blue],
    [endpointOf('a', quiet, one, ['10.82.0.7'])],
    [one, two],
    undefined,
    [blockOf(quiet, two, '10.82.0.248/29'), blockOf(blue, two, '10.80.252.0/22')],
  ),
  'prefixes that are routed plainly and metadata opened': snapshotOf(
    one,
    [plain, global],
    [
      endpointOf('a', plain, one, ['203.0.113.7', '2001:db8:80::7']),
      endpointOf('b', global, one, ['2001:db8:90::7']),
    ],
  ),
  'a gateway of several prefixes': snapshotOf(one, [grown], [], [one], undefined, [
    blockOf(grown, one, '10.84.0.248/29'),
    blockOf(grown, one, '10.85.0.248/29'),
  ]),
}

for (const [name, snapshot] of Object.entries(cases)) {
  test(`the plan of ${name}`, () => {
    const file = join(import.meta.dirname, 'golden', `${name.replaceAll(' ', '-')}.txt`)
    const text = printHostState(planAll(snapshot))
    if (process.env['UPDATE_GOLDEN'] !== undefined) writeFileSync(file, text)
    expect(text).toBe(readFileSync(file, 'utf8'))
  })
}
