import { expect, test } from 'bun:test'
import { type FakeKernel, openFakeKernel } from '../kernel/fake/fake-kernel.ts'
import type { UnderlayAddress } from '../model/host.ts'
import { ip } from '../net/testing.ts'
import { followUnderlay, readUnderlay, type Underlay, underlayDevices } from './underlay.ts'

/** A host with two devices and a container bridge; the default route leads to `eth0`. */
function host(): { kernel: FakeKernel; index(name: string): number } {
  const kernel = openFakeKernel()
  const view = kernel.look()
  const index = (name: string): number => view.links.get(name)?.index ?? 0
  for (const name of ['docker0', 'eth0', 'eth1']) {
    view.links.createBridge({ name, up: true, mac: `02:00:00:00:00:0${name.length}` })
  }
  put('docker0', '172.17.0.1', 16)
  put('eth0', '192.0.2.1', 24)
  put('eth0', '2001:db8::1', 64)
  view.routes.put({ destination: '0.0.0.0/0', gateway: '192.0.2.254', device: index('eth0') })
  view.routes.put({ destination: '::/0', gateway: '2001:db8::fe', device: index('eth0') })
  return { kernel, index }

  function put(name: string, address: string, prefixLength: number): void {
    view.addresses.put({ device: index(name), address, prefixLength, noDad: true })
  }
}

const textOf = ({ uplinks }: Underlay): readonly string[] =>
  uplinks.map(({ device, address }) => `${device} ${address.address}`)

const addressOf = (underlay: Underlay, i: number): UnderlayAddress | undefined =>
  underlay.uplinks[i]?.address

test('readUnderlay() takes the addresses of the default route’s device', () => {
  const { kernel } = host()
  expect(textOf(readUnderlay(kernel, {}))).toEqual(['eth0 192.0.2.1', 'eth0 2001:db8::1'])
})

test('followUnderlay() takes the next address of the same device', () => {
  const { kernel, index } = host()
  const before = readUnderlay(kernel, {})
  const view = kernel.look()
  const device = index('eth0')
  view.addresses.put({ device, address: '192.0.2.7', prefixLength: 24 })
  expect(followUnderlay(kernel, {}, before, false)).toEqual(before)
  view.addresses.remove({ device, address: '192.0.2.1', prefixLength: 24 })
  const after = followUnderlay(kernel, {}, before, false)
  expect(textOf(after)).toEqual(['eth0 192.0.2.7', 'eth0 2001:db8::1'])
})

test('followUnderlay() sees another MTU and another MAC of the same device', () => {
  const { kernel } = host()
  const before = readUnderlay(kernel, {})
  kernel.look().links.set('eth0', { mtuBytes: 1400, mac: '02:00:00:00:00:99' })
  const after = addressOf(followUnderlay(kernel, {}, before, false), 0)
  expect([after?.mtuBytes, String(after?.mac)]).toEqual([1400, '02:00:00:00:00:99'])
})

test('followUnderlay() keeps what vanished, and never takes a bridge for it', () => {
  const { kernel, index } = host()
  const before = readUnderlay(kernel, {})
  const device = index('eth0')
  const view = kernel.look()
  view.addresses.remove({ device, address: '192.0.2.1', prefixLength: 24 })
  view.addresses.remove({ device, address: '2001:db8::1', prefixLength: 64 })
  const after = followUnderlay(kernel, {}, before, true)
  expect(textOf(after)).toEqual(textOf(before))
  expect(after.missing).toEqual([ip('192.0.2.1'), ip('2001:db8::1')])
})

test('followUnderlay() gives one family up when told to, while the other is there', () => {
  const { kernel, index } = host()
  const before = readUnderlay(kernel, {})
  const gone = { device: index('eth0'), address: '2001:db8::1', prefixLength: 64 }
  kernel.look().addresses.remove(gone)
  expect(followUnderlay(kernel, {}, before, false).missing).toEqual([ip('2001:db8::1')])
  expect(textOf(followUnderlay(kernel, {}, before, true))).toEqual(['eth0 192.0.2.1'])
})

test('followUnderlay() goes to the device of the default route when the old one is down', () => {
  const { kernel, index } = host()
  const before = readUnderlay(kernel, {})
  const view = kernel.look()
  view.addresses.put({ device: index('eth1'), address: '198.51.100.1', prefixLength: 24 })
  view.links.set('eth0', { up: false })
  view.routes.put({ destination: '0.0.0.0/0', gateway: '198.51.100.9', device: index('eth1') })
  view.routes.remove({ destination: '0.0.0.0/0', device: index('eth0') })
  const after = followUnderlay(kernel, {}, before, false)
  expect(textOf(after)[0]).toBe('eth1 198.51.100.1')
  expect(underlayDevices(after)).toContain('eth1')
})

test('followUnderlay() takes no other address than the operator’s', () => {
  const { kernel, index } = host()
  const wish = { addresses: [ip('192.0.2.1')] }
  const before = readUnderlay(kernel, wish)
  const view = kernel.look()
  view.addresses.put({ device: index('eth0'), address: '192.0.2.7', prefixLength: 24 })
  view.addresses.remove({ device: index('eth0'), address: '192.0.2.1', prefixLength: 24 })
  const after = followUnderlay(kernel, wish, before, true)
  expect([textOf(after), after.missing]).toEqual([['eth0 192.0.2.1'], [ip('192.0.2.1')]])
})
