/** Gateways and what goes with them in a kernel in memory, of which any one call fails once. */

import { expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { HostState, Kind, Wanted } from '../../hoststate/state.ts'
import { KIND_ORDER, keyOf, MARK } from '../../hoststate/state.ts'
import { type FakeKernel, openFakeKernel } from '../../kernel/fake/fake-kernel.ts'
import { planAll } from '../../plan/plan.ts'
import { blockOf, endpointOf, hostOf, networkOf, snapshotOf } from '../../plan/testing.ts'
import { type Context, DeviceIndexes } from '../context.ts'
import { reap } from '../put-aside.ts'
import { Reconciler } from '../reconcile.ts'
import type { Resource, Resources } from '../resource.ts'
import { blocks } from './block.ts'
import { forwardings } from './forwarding.ts'
import { gatewayRules } from './gateway-rules.ts'
import { gateways } from './gateways.ts'
import { hostRoutes, hostRules } from './host-routes.ts'
import { rulesets } from './ruleset.ts'

const one = hostOf(1, '192.0.2.1', '2001:db8::1')
const blue = networkOf('blue', 100, ['10.80.0.0/16', 'fd80::/48'], 'vxlan')
const twin = networkOf('twin', 101, ['10.80.0.0/16', 'fd80::/48'], 'vxlan')
const web = endpointOf('web', twin, one, ['10.80.255.1', 'fd80::ff01'])

const nothing = planAll(snapshotOf(one, [blue, twin], []))
const both = planAll(
  snapshotOf(one, [blue, twin], [web], [one], undefined, [blockOf(blue, one, '10.80.252.0/22')]),
)
const moved = planAll(
  snapshotOf(one, [blue, twin], [web], [one], undefined, [
    blockOf(blue, one, '10.80.248.0/22'),
    blockOf(twin, one, '10.80.252.0/22'),
  ]),
)

/** Settings as a kernel has them; the fake one makes none by itself. */
const SETTINGS = [
  ...['eth0', 'lo'].map((device) => `net/ipv4/conf/${device}/forwarding`),
  ...['eth0', 'lo'].map((device) => `net/ipv6/conf/${device}/force_forwarding`),
  ...['net/ipv4/fwmark_reflect', 'net/ipv6/fwmark_reflect'],
]

class Host implements Disposable {
  readonly kernel: FakeKernel = openFakeKernel()
  readonly #directory = mkdtempSync(join(tmpdir(), `ckt-gateways-${process.pid}-`))

  constructor() {
    const here = this.kernel.look()
    const { index: device } = here.links.createBridge({ name: 'eth0', up: true })
    here.addresses.put({ device, address: '192.0.2.1', prefixLength: 24 })
    here.addresses.put({ device, address: '2001:db8::1', prefixLength: 64 })
    for (const path of SETTINGS) here.sysctl.write(path.split('/'), '0')
  }

  /** A dataplane that starts without memory. */
  reconciler(): Reconciler {
    const { kernel } = this
    const devices = new DeviceIndexes(kernel)
    const settingsFile = join(this.#directory, 'forwarding.json')
    // These resources use no more of the context.
    const deviceLinks = { putLater() {}, remove() {} }
    const context = { kernel, devices, deviceLinks, settingsFile } as unknown as Context
    const real: Partial<Resources> = {
      ruleset: rulesets(kernel, this.#tableFile),
      'host-rule': hostRules(kernel),
      forwarding: forwardings(context),
      block: blocks(kernel),
      gateway: gateways(context, { dying() {}, remade() {} }),
      'gateway-rules': gatewayRules(kernel),
      'host-route': hostRoutes(context),
    }
    const all = KIND_ORDER.map((kind) => [kind, real[kind] ?? inMemory(kind)])
    return new Reconciler(Object.fromEntries(all) as Resources)
  }

  /** The note of the rules is another one, or none. */
  forgetTable(note: string | undefined): void {
    if (note === undefined) rmSync(this.#tableFile)
    else writeFileSync(this.#tableFile, note)
  }

  get #tableFile(): string {
    return join(this.#directory, 'table.sha256')
  }

  /** Everything there is, without what only counts or is told by number. */
  look(): unknown {
    const { links, addresses, routes, rules, qdiscs, nft, sysctl } = this.kernel.look()
    const nameOf = (index: number | undefined) => links.get(index ?? 0)?.name
    const sorted = (list: readonly unknown[]) => list.map((each) => JSON.stringify(each)).sort()
    return {
      links: sorted(
        links.list().map(({ index: _, peer, ...link }) => ({ ...link, peer: nameOf(peer) })),
      ),
      addresses: sorted(
        addresses.list().map(({ device, ...each }) => ({ ...each, device: nameOf(device) })),
      ),
      routes: sorted(
        routes.list().map(({ device, ...each }) => ({ ...each, device: nameOf(device) })),
      ),
      rules: sorted(rules.list()),
      qdiscs: sorted(
        qdiscs.list().map(({ device, ...each }) => ({ ...each, device: nameOf(device) })),
      ),
      table: sorted((nft.listTable('inet', MARK.table) ?? []).map(withoutOrder)),
      settings: SETTINGS.map((path) => sysctl.read(path.split('/'))),
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true })
    this.kernel[Symbol.dispose]()
  }
}

/** An object of a table without its handle, its elements in order. */
function withoutOrder(object: Readonly<Record<string, unknown>>): unknown {
  return Object.entries(object).map(([kind, value]) => {
    const { handle: _, elem, ...rest } = value as { handle?: number; elem?: string[] }
    return [kind, rest, [...(elem ?? [])].sort()]
  })
}

function inMemory(kind: Kind): Resource {
  const things = new Map<string, Wanted>()
  return {
    kind,
    equal: (want, have) => JSON.stringify(want) === JSON.stringify(have),
    list: () => things.values(),
    put: (want) => void things.set(keyOf(want), want),
    remove: (have) => void things.delete(keyOf(have)),
  }
}

function changes(state: HostState) {
  return Array.from(state, ([object, wanted]) => ({ object, wanted }))
}

/** Goes there, again and again until nothing fails; the audit finds what a failure left behind. */
function reach(reconciler: Reconciler, state: HostState): void {
  let failures = reconciler.apply(changes(state))
  for (let turn = 0; turn < 5 && failures.length > 0; turn++) {
    failures = [
      ...reconciler.apply(changes(state)),
      ...reconciler.audit({ kinds: KIND_ORDER }).failures,
    ]
  }
  expect(failures).toEqual([])
}

function finish(host: Host, reconciler: Reconciler): unknown {
  reap(host.kernel)
  // What it finds, it repairs; the second time it finds nothing.
  reconciler.audit({ kinds: KIND_ORDER })
  expect(reconciler.audit({ kinds: KIND_ORDER })).toEqual({ repaired: {}, failures: [] })
  return host.look()
}

const WAYS: readonly { name: string; states: readonly HostState[] }[] = [
  { name: 'two gateways with equal prefixes', states: [both] },
  { name: 'blocks that move', states: [both, moved] },
  { name: 'gateways that go', states: [both, nothing] },
]

for (const { name, states } of WAYS) {
  test(`${name}: the same in the end, whichever call fails once`, () => {
    using host = new Host()
    const undisturbed = host.reconciler()
    for (const state of states) reach(undisturbed, state)
    const calls = host.kernel.calls.made.length
    const want = finish(host, undisturbed)
    for (let number = 1; number <= calls; number++) {
      using other = new Host()
      other.kernel.calls.failCall(number, 'ENOBUFS')
      const reconciler = other.reconciler()
      for (const state of states) reach(reconciler, state)
      expect(finish(other, reconciler)).toEqual(want)
    }
  }, 60_000)
}

test('a dataplane without memory finds everything as it should be', () => {
  using host = new Host()
  reach(host.reconciler(), both)
  const before = host.look()
  const again = host.reconciler()
  again.announce(changes(both))
  const { repaired, failures } = again.resync()
  expect(failures).toEqual([])
  expect(repaired.ruleset).toBeUndefined()
  expect(host.look()).toEqual(before)
})

test('the rules are put again by another version, and by one that finds no note', () => {
  using host = new Host()
  reach(host.reconciler(), both)
  for (const note of ['of another version', undefined]) {
    host.forgetTable(note)
    const again = host.reconciler()
    again.announce(changes(both))
    expect(again.resync().repaired.ruleset).toBe(1)
    expect(again.audit({ kinds: KIND_ORDER })).toEqual({ repaired: {}, failures: [] })
  }
})

test('a dataplane without memory removes the gateways of networks that are gone', () => {
  using host = new Host()
  reach(host.reconciler(), nothing)
  const before = host.look()
  reach(host.reconciler(), both)
  const again = host.reconciler()
  again.announce(changes(nothing))
  expect(again.resync().failures).toEqual([])
  reap(host.kernel)
  expect(host.look()).toEqual(before)
})
