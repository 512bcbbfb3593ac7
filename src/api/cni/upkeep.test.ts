import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { drive } from '../../control/member.ts'
import { ip, mac, prefix } from '../../net/testing.ts'
import { addedBy, type Call, CniScene, refused, silent } from './testing.ts'

let host: CniScene

beforeEach(async () => {
  host = await CniScene.start()
  for (const spec of [
    { name: 'blue', subnets: ['10.2.0.0/24', 'fd02::/64'] },
    { name: 'tiny', subnets: ['10.5.0.0/30'] },
  ]) {
    await drive(host.scene, host.member.control.createNetwork(spec))
  }
})
afterEach(() => host.stop())

const endpoints = () => host.member.control.listEndpoints()
const add = (call: Call = {}) => addedBy(host, call)

test('CHECK is silent while all is as it was, and names what is not', async () => {
  const prevResult = await add()
  const [endpoint] = endpoints()
  const { inside } = host.member.ports
  const path = '/run/netns/c1'
  const { inode } = (endpoint && 'sandbox' in endpoint && endpoint.sandbox) || { inode: 0 }
  const [four = ip('0.0.0.0'), six = ip('::')] = endpoint?.addresses ?? []
  const link = {
    mac: endpoint?.mac,
    mtuBytes: 1450,
    up: true,
    addresses: [
      { address: four, length: 24 },
      { address: six, length: 64 },
    ],
    routes: [
      // Another plug-in may have moved it there.
      { to: prefix('0.0.0.0/0'), via: ip('10.2.0.1'), table: 100 },
      { to: prefix('::/0'), via: ip('fd02::1'), table: 254 },
    ],
  }
  const check = (result: unknown = prevResult) =>
    host.call('CHECK', { config: { prevResult: result } })
  inside.set(path, { inode, link })
  silent(await check())
  const [withoutRoute] = link.routes
  assert.ok(withoutRoute)
  for (const { change, text } of [
    { change: { routes: [withoutRoute] }, text: /no route to ::\/0/ },
    { change: { addresses: [{ address: six, length: 64 }] }, text: /no address 10\.2\.0\./ },
    { change: { up: false }, text: /eth0 is down/ },
    { change: { mac: mac('0a:00:00:00:00:01') }, text: /has MAC 0a:00:00:00:00:01/ },
  ]) {
    inside.set(path, { inode, link: { ...link, ...change } })
    refused(await check(), 100, text)
  }
  // A plug-in behind us gave it another MAC: the result says so.
  const tuned = structuredClone(prevResult) as unknown as { interfaces: { mac: string }[] }
  for (const each of tuned.interfaces) each.mac = '0a:00:00:00:00:01'
  silent(await check(tuned))
  inside.set(path, { inode, link: undefined })
  refused(await check(), 100, /no interface eth0/)
  inside.set(path, { inode: inode + 1, link })
  refused(await check(), 100, /another namespace/)
  refused(await host.call('CHECK'), 7, /prevResult is missing/)
  refused(
    await host.call('CHECK', { container: 'c9', config: { prevResult } }),
    100,
    /not attached/,
  )
})

test('GC takes what is neither listed nor young', async () => {
  await add({ container: 'kept' })
  await add({ container: 'lost' })
  await add({ container: 'other', config: { name: 'othernet' } })
  const key = 'cni.dev/valid-attachments'
  const config = { [key]: [{ containerID: 'kept', ifname: 'eth0' }] }
  silent(await host.call('GC', { config }))
  assert.equal(endpoints().length, 3)
  await host.scene.clock.advance(30_000)
  refused(await host.call('GC'), 7, /valid-attachments is missing/)
  assert.equal(endpoints().length, 3)
  silent(await host.call('GC', { config }))
  const containers = () => endpoints().map(({ labels }) => labels['carrick/cni-container'])
  assert.deepEqual(containers().sort(), ['kept', 'other'])
  silent(await host.call('GC', { config: { [key]: null } }))
  assert.deepEqual(containers(), ['other'])
})

test('STATUS is content until no address is left, or the network is gone', async () => {
  silent(await host.call('STATUS'))
  silent(await host.call('STATUS', { config: { network: 'tiny' } }))
  await add({ config: { network: 'tiny' } })
  refused(await host.call('STATUS', { config: { network: 'tiny' } }), 50, /no free address/)
  refused(await host.call('STATUS', { config: { network: 'green' } }), 50, /none of this name/)
  refused(await host.call('STATUS', { config: { cniVersion: '1.0.0' } }), 1, /STATUS/)
})
