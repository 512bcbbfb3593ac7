/** Notices arrive as things change, an overrun is told as lost, and an end is an end. */
import { afterAll, test } from 'bun:test'
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import type { Notice } from '../../src/kernel/notices.ts'
import { run, TestNamespaces } from './namespaces.ts'

const namespaces = new TestNamespaces()
afterAll(() => namespaces[Symbol.dispose]())

/** The notices up to the first one that is wanted; the test's own deadline bounds the wait. */
async function until(
  notices: AsyncIterator<Notice>,
  wanted: (notice: Notice) => boolean,
): Promise<Notice[]> {
  const seen: Notice[] = []
  for (;;) {
    const { done, value } = await notices.next()
    if (done === true) throw new Error(`ended after ${JSON.stringify(seen)}`)
    seen.push(value)
    if (wanted(value)) return seen
  }
}

test('every kind of change is noticed', async () => {
  const { name, view } = namespaces.make('w')
  const stop = new AbortController()
  const notices = view
    .watch(['links', 'addresses', 'routes', 'neighbours', 'nft'], stop.signal)
    [Symbol.asyncIterator]()
  run(name, 'ip link add v0 type veth peer name v1')
  run(name, 'ip link set v0 up')
  run(name, 'ip link set v1 up')
  run(name, 'ip addr add 192.0.2.1/24 dev v0')
  run(name, 'ip route add 198.51.100.0/24 via 192.0.2.2')
  run(name, 'ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev v0')
  run(name, 'nft add table inet ckt')
  run(name, 'ip link del v0')
  const made = ({ kind }: Notice, want: Notice['kind']) => kind === want
  await until(notices, (each) => each.kind === 'link' && each.link.name === 'v0')
  await until(notices, (each) => each.kind === 'address' && each.address.address === '192.0.2.1')
  await until(
    notices,
    (each) => each.kind === 'route' && each.route.destination === '198.51.100.0/24',
  )
  await until(notices, (each) => made(each, 'neighbour'))
  await until(
    notices,
    (each) => each.kind === 'link' && each.change === 'remove' && each.link.name === 'v0',
  )
  stop.abort()
  assert.equal((await notices.next()).done, true)
})

test('changes of the ruleset name their table', async () => {
  const { name, view } = namespaces.make('w')
  const stop = new AbortController()
  const notices = view.watch(['nft'], stop.signal)[Symbol.asyncIterator]()
  run(name, 'nft add table inet ckt')
  run(name, 'nft add set inet ckt s { type ipv4_addr ; }')
  const [first] = await until(notices, () => true)
  assert.deepEqual(first, { kind: 'nft', table: 'ckt', elements: false, own: false })
  stop.abort()
})

test('one notice tells of a whole nft transaction, and who made it', async () => {
  const { name, view } = namespaces.make('w')
  const stop = new AbortController()
  run(name, 'nft add table inet ckt')
  run(name, 'nft add set inet ckt s { type inet_service ; }')
  const notices = view.watch(['nft'], stop.signal)[Symbol.asyncIterator]()
  view.nft.run('add element inet ckt s { 1, 2, 3 }')
  const byUs = { kind: 'nft', table: 'ckt', elements: true, own: true }
  assert.deepEqual((await notices.next()).value, byUs)
  run(name, 'nft add element inet ckt s { 4, 5 }')
  assert.deepEqual((await notices.next()).value, { ...byUs, own: false })
  run(name, 'nft flush ruleset')
  assert.deepEqual((await notices.next()).value, { ...byUs, own: false, elements: false })
  stop.abort()
})

test('only the groups asked for are heard, and no thread waits for them', async () => {
  const { name, view } = namespaces.make('w')
  const stop = new AbortController()
  const watchers = Array.from({ length: 8 }, () =>
    view.watch(['addresses'], stop.signal)[Symbol.asyncIterator](),
  )
  const waiting = watchers.map((each) => each.next())
  run(name, 'ip link add v0 type veth peer name v1')
  run(name, 'ip addr add 192.0.2.1/24 dev v0')
  for (const { value } of await Promise.all(waiting)) assert.equal(value.kind, 'address')
  const asleep = readdirSync('/proc/self/task').map((task) =>
    readFileSync(`/proc/self/task/${task}/wchan`, 'utf8'),
  )
  assert.ok(!asleep.includes('__skb_wait_for_more_packets'))
  stop.abort()
})

test('an overrun is told as lost, and the watch goes on', async () => {
  const { name, view } = namespaces.make('w')
  const stop = new AbortController()
  const notices = view.watch(['routes'], stop.signal)[Symbol.asyncIterator]()
  view.links.set('lo', { up: true })
  // Far more than the queue holds, while this thread is too busy to read.
  const routes = (verb: 'put' | 'remove') =>
    view.batch((batch) => {
      for (let i = 0; i < 15_000; i++) {
        const destination = `10.${i >> 14}.${(i >> 6) & 255}.${(i & 63) << 2}/30`
        if (verb === 'put') batch.routes.put({ destination, type: 'blackhole' })
        else batch.routes.remove({ destination })
      }
    })
  routes('put')
  routes('remove')
  await until(notices, ({ kind }) => kind === 'lost')
  run(name, 'ip route add blackhole 198.51.100.0/24')
  await until(
    notices,
    (each) => each.kind === 'route' && each.route.destination === '198.51.100.0/24',
  )
  stop.abort()
})

test('a watch that is aborted before or while it waits ends', async () => {
  const { view } = namespaces.make('w')
  const before = view.watch(['links'], AbortSignal.abort())[Symbol.asyncIterator]()
  assert.equal((await before.next()).done, true)
  const stop = new AbortController()
  const while_ = view.watch(['links'], stop.signal)[Symbol.asyncIterator]()
  const next = while_.next()
  stop.abort()
  assert.equal((await next).done, true)
})

test('leaving the loop closes the descriptor', async () => {
  const { name, view } = namespaces.make('w')
  const stop = new AbortController()
  const notices = view.watch(['links'], stop.signal)
  run(name, 'ip link set lo up')
  for await (const notice of notices) {
    assert.equal(notice.kind, 'link')
    break
  }
  assert.equal((await notices[Symbol.asyncIterator]().next()).done, true)
})
