/** Published ports as elements of our table's maps, judged by `nft`, by real packets and by `conntrack`. */
import { afterAll, test } from 'bun:test'
import assert from 'node:assert/strict'
import { publications } from '../../src/dataplane/resources/publications.ts'
import { forgetFlows } from '../../src/dataplane/stale-flows.ts'
import type { PortForward } from '../../src/hoststate/ports.ts'
import { MARK } from '../../src/hoststate/state.ts'
import { ip } from '../../src/net/testing.ts'
import { openSocket, type Socket } from './datapath/sockets.ts'
import { run, TestNamespaces } from './namespaces.ts'
import {
  CLIENT,
  CLIENT6,
  CONTAINER,
  CONTAINER6,
  HOST,
  HOST6,
  port,
  publishingHost,
  publishingHostBetween,
} from './publishing-host.ts'

const namespaces = new TestNamespaces()
afterAll(() => namespaces[Symbol.dispose]())

const OTHER = ip('10.80.0.3')
const host = () => publishingHost(namespaces)
const surroundings = () => publishingHostBetween(namespaces)

const VARIED: readonly PortForward[] = [
  port(),
  port({ protocol: 'udp', address: CONTAINER6 }),
  port({ protocol: 'sctp', hostAddress: HOST }),
  port({ hostAddress: HOST6, address: CONTAINER6, hostPort: 81 }),
  port({ hostPort: 82, index: 7 }),
  port({ hostPort: 82, index: 7, hostAddress: HOST6, address: CONTAINER6 }),
]

test('what is put is listed again, and nft tells it in its own words', () => {
  const { resource, list, elements } = host()
  resource.putMany?.(VARIED)
  const key = (each: PortForward) => JSON.stringify(each, Object.keys(each).sort())
  assert.deepEqual(list().map(key).sort(), VARIED.map(key).sort())
  assert.match(elements('ports4_any'), /tcp \. 8080 : 10\.80\.0\.2 \. 80/)
  assert.match(elements('ports6_any'), /udp \. 8080 : fd80::2 \. 80/)
  assert.match(elements('ports4_at'), /198\.51\.100\.1 \. sctp \. 8080 : 10\.80\.0\.2 \. 80/)
  assert.match(elements('ports6_at'), /2001:db8:1::1 \. tcp \. 81 : fd80::2 \. 80/)
  assert.match(elements('marks4_any'), /tcp \. 82 : jump to_7/)
  assert.match(elements('marks6_at'), /2001:db8:1::1 \. tcp \. 82 : jump to_7/)
  for (const want of VARIED) {
    assert.ok(list().some((have) => resource.equal(want, have)))
  }
})

test('removing takes both halves, one by one and all together, and is content with what is gone', () => {
  const { resource, list } = host()
  resource.putMany?.(VARIED)
  const [first, ...others] = VARIED
  assert.ok(first)
  resource.remove(first)
  assert.equal(list().length, others.length)
  resource.removeMany?.(VARIED)
  assert.deepEqual(list(), [])
  resource.removeMany?.(VARIED)
})

test('a port that leads elsewhere now is led there in one step', () => {
  const { resource, list, stale } = host()
  for (const index of [0, 7]) {
    resource.put(port({ index }))
    resource.put(port({ index, address: OTHER }))
    assert.deepEqual(list(), [port({ index, address: OTHER })])
    assert.ok(stale.some((flow) => flow.kind === 'forwarded' && flow.port.address === CONTAINER))
  }
  resource.put(port({ address: OTHER }))
  assert.deepEqual(list(), [port({ address: OTHER })], 'its network has no index any more')
})

test('what an earlier run left is found, half entries too', () => {
  const { view, resource, list } = host()
  resource.putMany?.(VARIED)
  const again = publications(view, () => {})
  assert.equal([...again.list([], true)].length, VARIED.length)
  view.nft.run(`delete element inet ${MARK.table} ports4_any { tcp . 82 }`)
  const half = list().find((each) => each.hostPort === 82 && each.hostAddress === undefined)
  assert.ok(half !== undefined && !resource.equal(port({ hostPort: 82, index: 7 }), half))
  resource.put(port({ hostPort: 82, index: 7 }))
  assert.ok(list().some((have) => resource.equal(port({ hostPort: 82, index: 7 }), have)))
  view.nft.run(`delete element inet ${MARK.table} ports4_any { tcp . 82 }`)
  resource.removeMany?.(list())
  assert.deepEqual(list(), [])
})

test('without the table a port is refused with the reason, and nothing is listed', () => {
  const { view, resource, list } = host()
  view.nft.run('flush ruleset')
  assert.deepEqual(list(), [])
  assert.throws(() => resource.put(port()), { code: 'unavailable' })
  resource.remove(port())
})

test('thousands of ports are one transaction', () => {
  const { resource, list } = host()
  const many = Array.from({ length: 8_000 }, (_, i) => port({ hostPort: 10_000 + i }))
  resource.putMany?.(many)
  assert.equal(list().length, many.length)
  resource.removeMany?.(many)
  assert.equal(list().length, 0)
})

const buffer = new Uint8Array(2_048)
const text = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString()
const say = (socket: Socket, words: string) => socket.send(Buffer.from(words))

for (const { family, from, to, target } of [
  { family: 4, from: CLIENT, to: HOST, target: CONTAINER },
  { family: 6, from: CLIENT6, to: HOST6, target: CONTAINER6 },
]) {
  test(`IPv${family}: a connection to a published port reaches the container, from its own client`, () => {
    const { client, container, resource } = surroundings()
    resource.put(port({ address: target, protocol: 'tcp' }))
    using server = openSocket(container, 'tcp', target).bind(target, 80).listen()
    using socket = openSocket(client, 'tcp', from).bind(from, 4_000)
    assert.ok(socket.connect(to, 8080))
    using accepted = server.accept()
    say(accepted, 'hello')
    assert.equal(text(socket.receive(buffer)), 'hello')
    assert.match(
      run(container.name, 'ss -H -n -t'),
      new RegExp(`${from.replaceAll('.', '\\.')}\\]?:4000`),
    )
  })

  test(`IPv${family}: a client that was sending before the port was published is heard after it`, () => {
    const { client, container, resource, forget } = surroundings()
    using server = openSocket(container, 'udp', target).bind(target, 53)
    using held = openSocket({ path: client.path }, 'udp', from).bind(from, 4_001)
    held.connect(to, 5353)
    // Nobody is there: what comes back is an error, and conntrack remembers where it went.
    say(held, 'early')
    held.receive(buffer)
    resource.put(port({ protocol: 'udp', hostPort: 5353, containerPort: 53, address: target }))
    say(held, 'still to the host')
    assert.equal(server.receive(buffer, false), undefined)
    assert.equal(forget(), 1)
    for (let i = 0; i < 3; i++) say(held, 'heard') // an error of before may wait in the socket
    assert.equal(text(server.receive(buffer)), 'heard')
  })

  test(`IPv${family}: what came by a removed publication comes no more`, () => {
    const { client, container, resource, forget, view } = surroundings()
    const published = port({ protocol: 'udp', hostPort: 5353, containerPort: 53, address: target })
    resource.putMany?.([published, port({ ...published, hostPort: 5354 })])
    forget()
    using server = openSocket(container, 'udp', target).bind(target, 53)
    using socket = openSocket(client, 'udp', from).bind(from, 4_002)
    using other = openSocket(client, 'udp', from).bind(from, 4_003)
    socket.connect(to, 5353)
    other.connect(to, 5354)
    for (const each of [socket, other]) {
      say(each, 'hello')
      assert.equal(text(server.receive(buffer)), 'hello')
    }
    resource.remove(published)
    assert.equal(forget(), 1)
    say(socket, 'gone')
    say(other, 'stays')
    assert.equal(text(server.receive(buffer)), 'stays')
    const left = view.conntrack.list({ reply: { source: target } })
    assert.deepEqual(
      left.map(({ original }) => original.destinationPort),
      [5354],
    )
  })
}

test('what is forwarded to the same port of another machine is untouched, and its connection stays', () => {
  const { client, container, resource, forget } = surroundings()
  using server = openSocket(container, 'udp', CONTAINER).bind(CONTAINER, 5353)
  using socket = openSocket(client, 'udp', CLIENT).bind(CLIENT, 4_004)
  socket.connect(CONTAINER, 5353)
  say(socket, 'direct')
  assert.equal(text(server.receive(buffer)), 'direct')
  resource.put(port({ protocol: 'udp', hostPort: 5353, containerPort: 53 }))
  assert.equal(forget(), 0)
  say(socket, 'still')
  assert.equal(text(server.receive(buffer)), 'still')
})

test('a container that leaves takes its connections along, one of equal address elsewhere does not', () => {
  const { name, view } = host()
  const insert = (sport: number, mark: string, reply = '203.0.113.9') =>
    run(
      name,
      `conntrack -I -s 10.80.0.2 -d 203.0.113.9 -p udp --sport ${sport} --dport 53 -t 600 -r ${reply} -q 198.51.100.1 --reply-port-src 53 --reply-port-dst ${sport} -m ${mark}`,
    )
  insert(1, '0')
  insert(2, '0x07000000')
  const inward = (sport: number, mark: string) =>
    run(
      name,
      `conntrack -I -s 198.51.100.7 -d 198.51.100.1 -p udp --sport ${sport} --dport 5353 -t 600 -r 10.80.0.2 -q 198.51.100.7 --reply-port-src 53 --reply-port-dst ${sport} -m ${mark}`,
    )
  inward(3, '0')
  inward(4, '0x00070000')
  const marks = () => view.conntrack.list().map(({ mark }) => mark)
  assert.equal(forgetFlows(view, [{ kind: 'endpoint', address: CONTAINER, index: 7 }]), 2)
  assert.deepEqual(marks(), [0, 0])
  assert.equal(forgetFlows(view, [{ kind: 'endpoint', address: CONTAINER, index: 0 }]), 2)
  assert.deepEqual(marks(), [])
})
