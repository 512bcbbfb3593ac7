/** What a namespace holds is told as `ip` tells it, and one that is gone is known to be gone. */

import { afterAll, test } from 'bun:test'
import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { Inspector } from '../../src/dataplane/inspector.ts'
import { run, TestNamespaces } from './namespaces.ts'

const namespaces = new TestNamespaces()
afterAll(() => namespaces[Symbol.dispose]())
const inspector = new Inspector(namespaces.kernel)

test('an interface is told with its MAC, its addresses and its routes of all tables', () => {
  const { name: box } = namespaces.make('inside')
  const path = `/run/netns/${box}`
  for (const command of [
    'link add eth0 address 0a:00:00:00:00:07 mtu 1400 type veth peer name far0',
    'link set far0 up',
    'link set eth0 up',
    'address add 10.2.0.7/24 dev eth0 noprefixroute',
    'address add fd02::7/64 dev eth0 nodad noprefixroute',
    'route add 10.2.0.1/32 dev eth0',
    'route add default via 10.2.0.1 dev eth0',
    'route add 192.0.2.0/24 via 10.2.0.1 dev eth0 table 100',
    'route add default dev far0 metric 9',
  ]) {
    run(box, `ip ${command}`)
  }
  const { inode, link } = inspector.inspect(path, 'eth0')
  assert.equal(inode, statSync(path).ino)
  assert.equal(link?.mac, '0a:00:00:00:00:07')
  assert.equal(link?.mtuBytes, 1400)
  assert.equal(link?.up, true)
  const addresses = link?.addresses.map(({ address, length }) => `${address}/${length}`) ?? []
  assert.ok(addresses.includes('10.2.0.7/24'))
  assert.ok(addresses.includes('fd02::7/64'))
  const routes = link?.routes.map(({ to, via, table }) => `${to} via ${via} in ${table}`) ?? []
  assert.ok(routes.includes('10.2.0.1/32 via undefined in 254'))
  assert.ok(routes.includes('192.0.2.0/24 via 10.2.0.1 in 100'))
  assert.equal(routes.filter((route) => route.startsWith('0.0.0.0/0')).length, 1)
  assert.equal(inspector.inspect(path, 'eth9').link, undefined)
})

test('only the namespace of this process is its own', () => {
  const path = `/run/netns/${namespaces.make('other').name}`
  assert.equal(inspector.isOwn('/proc/self/ns/net'), true)
  assert.equal(inspector.isOwn(`/proc/${process.pid}/ns/net`), true)
  for (const other of [path, '/etc/hostname', '/run/netns/nobody']) {
    assert.equal(inspector.isOwn(other), false, other)
  }
})

test('an endpoint is lost when neither its namespace nor its pair is there', () => {
  const path = `/run/netns/${namespaces.make('lost').name}`
  const { ino: inode } = statSync(path)
  const device = 'ckt-nobody'
  assert.equal(inspector.isLost({ sandbox: { path, inode }, device }), false)
  assert.equal(inspector.isLost({ sandbox: { path, inode: inode + 1 }, device }), true)
  const gone = { path: '/run/netns/nobody', inode }
  assert.equal(inspector.isLost({ sandbox: gone, device }), true)
  assert.equal(inspector.isLost({ sandbox: gone, device: 'lo' }), false)
})
