import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { MARK } from '../hoststate/state.ts'
import { openFakeKernel } from '../kernel/fake/fake-kernel.ts'
import { FactsWatch, readFacts } from './facts.ts'

function scene() {
  const kernel = openFakeKernel()
  const device = (name: string, group = 0): number => {
    kernel.look().links.createBridge({ name, group })
    const link = kernel.look().links.get(name)
    assert.ok(link)
    kernel.look().links.set(link.index, { up: true })
    return link.index
  }
  const route = (destination: string, index: number, protocol = 4): void =>
    kernel.look().routes.put({ destination, device: index, protocol })
  return { kernel, device, route, [Symbol.dispose]: () => kernel[Symbol.dispose]() }
}

test('readFacts() tells the routes that others made, with their device', () => {
  using s = scene()
  const eth1 = s.device('eth1')
  s.route('10.20.0.0/16', eth1)
  s.route('10.9.0.0/24', eth1, 2)
  s.route('2001:db8::/64', eth1)
  assert.deepEqual(readFacts(s.kernel).routes, [
    { prefix: '10.9.0.0/24', device: 'eth1' },
    { prefix: '10.20.0.0/16', device: 'eth1' },
    { prefix: '2001:db8::/64', device: 'eth1' },
  ])
})

for (const { what, destination, protocol, name, group } of [
  { what: 'default routes', destination: '0.0.0.0/0' },
  { what: 'default routes', destination: '::/0' },
  { what: 'routes of our protocol', destination: '10.80.0.0/16', protocol: MARK.routeProtocol },
  { what: 'routes of our devices', destination: 'fd80::1/128', name: 'ckgab12', group: 0xca04 },
  { what: 'link-local routes', destination: 'fe80::/64' },
]) {
  test(`readFacts() leaves out ${what}: ${destination}`, () => {
    using s = scene()
    s.route(destination, s.device(name ?? 'eth1', group), protocol)
    assert.deepEqual(readFacts(s.kernel).routes, [])
  })
}

test("readFacts() of a router with all of the Internet's routes keeps the private ones", () => {
  using s = scene()
  const eth1 = s.device('eth1')
  for (let i = 0; i < 600; i++) s.route(`198.${18 + (i >> 8)}.${i & 255}.0/24`, eth1)
  s.route('192.168.77.0/24', eth1)
  const { routes } = readFacts(s.kernel)
  assert.equal(routes.length, 500)
  assert.ok(routes.some(({ prefix }) => prefix === '192.168.77.0/24'))
})

test('FactsWatch tells the facts once, and again only when they are different', async () => {
  using s = scene()
  const told: number[] = []
  const waiting: (() => void)[] = []
  const heard = (): Promise<void> => new Promise((resolve) => waiting.push(resolve))
  const first = heard()
  using watch = new FactsWatch(s.kernel, ({ routes }) => {
    told.push(routes.length)
    for (const wake of waiting.splice(0)) wake()
  })
  await first
  const eth1 = s.device('eth1')
  watch.suspect() // nothing that is told has changed
  s.route('10.20.0.0/16', eth1)
  s.route('10.21.0.0/16', eth1)
  await heard()
  assert.deepEqual(told, [0, 2])
})
