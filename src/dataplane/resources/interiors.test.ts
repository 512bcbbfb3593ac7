import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { FABRIC_MAC, type Interior, MARK, type Veth } from '../../hoststate/state.ts'
import { type FakeKernel, openFakeKernel } from '../../kernel/fake/fake-kernel.ts'
import { ip, mac, prefix } from '../../net/testing.ts'
import { type Context, DeviceIndexes, HeldSandboxes } from '../context.ts'
import { EnginePairs } from '../engine-pairs.ts'
import { interiors } from './interiors.ts'
import { veths } from './veths.ts'

const PATH = '/run/netns/box'
const MAC = mac('0a:00:00:00:00:02')
let kernel: FakeKernel
let context: Context
let sandbox: Veth['sandbox']

beforeEach(() => {
  kernel = openFakeKernel()
  kernel.startProcess(7, PATH)
  using netns = kernel.openNetns(PATH)
  sandbox = { path: PATH, inode: netns.inode }
  context = {
    kernel,
    // neither kind looks at these
    datapath: undefined as never,
    hooks: undefined as never,
    closing: undefined as never,
    deviceLinks: undefined as never,
    settingsFile: '',
    tableFile: '',
    devices: new DeviceIndexes(kernel),
    sandboxes: new HeldSandboxes(kernel),
    enginePairs: new EnginePairs(kernel, 'test'),
  }
})
afterEach(() => kernel[Symbol.dispose]())

function vethOf(mtuBytes: number): Veth {
  const peer = { name: 'eth0', mac: MAC }
  const common = { name: 'ckbox', mac: FABRIC_MAC, mtuBytes, alias: 'blue/box', sandbox, peer }
  return { kind: 'veth', ...common }
}

function interiorOf(routes: Interior['routes'], mtuBytes = 1450): Interior {
  return {
    kind: 'interior',
    device: 'ckbox',
    sandbox,
    ifname: 'eth0',
    mac: MAC,
    mtuBytes,
    softwareChecksums: false,
    addresses: [{ address: ip('10.80.0.2'), length: 16 }],
    neighbours: [{ address: ip('10.80.0.1'), mac: FABRIC_MAC }],
    routes,
  }
}

const via = ip('10.80.0.1')
const near = { to: prefix('10.80.0.0/16'), via }
const added = { to: prefix('10.82.0.0/16'), via }
const everything = { to: prefix('0.0.0.0/0'), via }

/** Destinations and metrics of the routes inside. */
function inside(protocol?: number): readonly string[] {
  const routes = kernel.look(PATH).routes.list(protocol === undefined ? {} : { protocol })
  return routes.map(({ destination, metric }) => `${destination} ${metric}`).sort()
}

test('routes come, go and change their metric; the container keeps its own', () => {
  const resource = interiors(context)
  veths(context, () => {}).put(vethOf(1450))
  resource.put(interiorOf([near, everything]))
  const view = kernel.look(PATH)
  const device = view.links.get('eth0')?.index ?? 0
  view.routes.put({ destination: '192.0.2.0/24', device, protocol: 4 })
  for (const { routes, want } of [
    {
      routes: [near, added, everything],
      want: ['0.0.0.0/0 0', '10.80.0.0/16 0', '10.80.0.1/32 0', '10.82.0.0/16 0'],
    },
    { routes: [near], want: ['10.80.0.0/16 0', '10.80.0.1/32 0'] },
    {
      routes: [
        { ...near, metric: 200 },
        { ...everything, metric: 200 },
      ],
      want: ['0.0.0.0/0 200', '10.80.0.0/16 200', '10.80.0.1/32 200'],
    },
  ]) {
    const wanted = interiorOf(routes)
    const [before] = resource.list([wanted], false)
    assert.ok(before !== undefined && !resource.equal(wanted, before as never))
    resource.put(wanted)
    assert.deepEqual(inside(MARK.routeProtocol), want)
    const [after] = resource.list([wanted], false)
    assert.ok(after !== undefined && resource.equal(wanted, after as never))
  }
  assert.deepEqual(inside(4), ['192.0.2.0/24 0'])
})

test('a restarted daemon finds routes that are not wanted any more', () => {
  veths(context, () => {}).put(vethOf(1450))
  interiors(context).put(interiorOf([near, added, everything]))
  context.devices.clear()
  const again = interiors(context)
  const wanted = interiorOf([near])
  again.put(wanted)
  assert.deepEqual(inside(MARK.routeProtocol), ['10.80.0.0/16 0', '10.80.0.1/32 0'])
})

test('a new interface is not searched for routes', () => {
  veths(context, () => {}).put(vethOf(1450))
  interiors(context).put(interiorOf([near, everything]))
  assert.ok(!kernel.calls.made.some(({ name }) => name === 'routes.list'))
})

test('an MTU is lowered from the inside out and raised from the outside in', () => {
  const [pairs, insides] = [veths(context, () => {}), interiors(context)]
  pairs.put(vethOf(1450))
  insides.put(interiorOf([near]))
  for (const [mtuBytes, order] of [
    [1400, ['inside', 'outside']],
    [1500, ['outside', 'inside']],
  ] as const) {
    const from = kernel.calls.made.length
    pairs.put(vethOf(mtuBytes))
    insides.put(interiorOf([near], mtuBytes))
    const places = kernel.calls.made.slice(from).flatMap(({ name, args, netns }) => {
      const [, change] = args as readonly [unknown, { mtuBytes?: number } | undefined]
      if (name !== 'links.set' || change?.mtuBytes !== mtuBytes) return []
      return [netns === sandbox.inode ? 'inside' : 'outside']
    })
    assert.deepEqual([...new Set(places)], order)
    assert.equal(kernel.look(PATH).links.get('eth0')?.mtuBytes, mtuBytes)
    assert.equal(kernel.look().links.get('ckbox')?.mtuBytes, mtuBytes)
  }
})
