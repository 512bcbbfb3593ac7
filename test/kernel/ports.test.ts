/** Held ports, judged by `ss` and by programs that want them too. */
import { afterAll, test } from 'bun:test'
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { HostPorts } from '../../src/dataplane/host-ports.ts'
import type { Kernel } from '../../src/kernel/kernel.ts'
import { isNetworkError } from '../../src/lib/errors.ts'
import type { TransportProtocol } from '../../src/net/protocol.ts'
import { ip } from '../../src/net/testing.ts'
import { run, TestNamespaces } from './namespaces.ts'

const namespaces = new TestNamespaces()
afterAll(() => namespaces[Symbol.dispose]())

/** A namespace with a loopback device, whose ports are the host's. */
function host() {
  const made = namespaces.make('p')
  made.view.links.set('lo', { up: true })
  made.view.addresses.put({ device: 1, address: '192.0.2.1', prefixLength: 32 })
  const ports = new HostPorts(made.view as Kernel) // what is asked of it, every view has
  return { ...made, ports }
}

/** `tcp *:8080` as ss tells it. */
function bound(name: string): string[] {
  return run(name, 'ss -H -n -a -t -u')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [protocol, , , , local] = line.split(/\s+/)
      return `${protocol} ${local}`
    })
    .sort()
}

/** The exit code of a program that wants to listen there: 3 when it may not. */
function listenIn(name: string, port: number): number | null {
  const script = `require('node:net').createServer()
    .on('error', () => process.exit(3))
    .listen(${port}, '0.0.0.0', () => process.exit(0))`
  return spawnSync('ip', ['netns', 'exec', name, process.execPath, '-e', script]).status
}

for (const protocol of ['tcp', 'udp'] as const) {
  test(`a held ${protocol} port is nobody else's, in both families, until it is released`, () => {
    const { name, view, ports } = host()
    const held = ports.reserve({ protocol, port: 8080, count: 1 })
    for (const address of [undefined, ip('127.0.0.1'), ip('192.0.2.1'), ip('::1')]) {
      const want = { protocol, port: 8080, ...(address === undefined ? {} : { address }) }
      assert.throws(() => view.ports.hold(want), { code: 'kernel' }, address)
    }
    held.release()
    held.release()
    const again = ports.reserve({ protocol, port: 8080, count: 1 })
    again.release()
    assert.deepEqual(bound(name), [])
  })
}

test('a range is held whole or not at all', () => {
  const { view, ports } = host()
  const inTheWay = view.ports.hold({ protocol: 'tcp', port: 9002 })
  assert.throws(
    () => ports.reserve({ protocol: 'tcp', port: 9000, count: 4 }),
    (error) => isNetworkError(error, 'conflict') && error.details['port'] === 9002,
  )
  inTheWay?.close()
  ports.reserve({ protocol: 'tcp', port: 9000, count: 4 }).release()
})

test('port 0 finds free ports in a row', () => {
  const { view, ports } = host()
  const held = ports.reserve({ protocol: 'tcp', port: 0, count: 50 })
  for (let i = 0; i < 50; i++) {
    assert.throws(() => view.ports.hold({ protocol: 'tcp', port: held.port + i }))
  }
  const other = ports.reserve({ protocol: 'tcp', port: 0, count: 50 })
  assert.ok(Math.abs(other.port - held.port) >= 50)
  held.release()
  other.release()
})

test('an address holds its own port only', () => {
  const { ports } = host()
  const one = ports.reserve({ protocol: 'tcp', address: ip('192.0.2.1'), port: 80, count: 1 })
  const two = ports.reserve({ protocol: 'tcp', address: ip('127.0.0.1'), port: 80, count: 1 })
  assert.throws(() => ports.reserve({ protocol: 'tcp', port: 80, count: 1 }), { code: 'conflict' })
  one.release()
  two.release()
})

for (const protocol of ['tcp', 'udp', 'sctp'] as const) {
  test(`every address of one family holds its ${protocol} port, and leaves the other family alone`, () => {
    const { ports } = host()
    const hold = (address?: string) =>
      ports.reserve({
        ...{ protocol, port: 80, count: 1 },
        ...(address === undefined ? {} : { address: ip(address) }),
      })
    const four = hold('0.0.0.0')
    for (const address of [undefined, '0.0.0.0', '127.0.0.1', '192.0.2.1']) {
      assert.throws(() => hold(address), { code: 'conflict' }, address)
    }
    const six = hold('::')
    assert.throws(() => hold('::1'), { code: 'conflict' })
    four.release()
    hold('192.0.2.1').release()
    six.release()
    hold().release()
  })
}

test('an address that the host does not have is refused with those that it has', () => {
  const { ports } = host()
  assert.throws(
    () => ports.reserve({ protocol: 'udp', address: ip('198.51.100.1'), port: 53, count: 1 }),
    (error) => isNetworkError(error, 'invalid') && /192\.0\.2\.1/.test(error.message),
  )
})

test('without sctp sockets an sctp port is noted, and refused to the next', () => {
  const { ports } = host()
  const held = ports.reserve({ protocol: 'sctp', port: 3868, count: 2 })
  assert.throws(() => ports.reserve({ protocol: 'sctp', port: 3869, count: 1 }), {
    code: 'conflict',
  })
  held.release()
  const chosen = ports.reserve({ protocol: 'sctp', port: 0, count: 2 })
  const next = ports.reserve({ protocol: 'sctp', port: 0, count: 2 })
  assert.ok(next.port >= chosen.port + 2)
})

/** The program that has the port at home, where its process is to be found. */
function holderAtHome(protocol: TransportProtocol, port: number): unknown {
  const ports = new HostPorts(namespaces.kernel)
  try {
    ports.reserve({ protocol, port, count: 1 }).release()
    return undefined
  } catch (error) {
    return isNetworkError(error, 'conflict') ? error.message : error
  }
}

const program = readFileSync('/proc/self/comm', 'utf8').trim()

test('a listening server is named', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  try {
    assert.equal(
      holderAtHome('tcp', port),
      `Cannot use port ${port}/tcp: it is in use by ${program} (pid ${process.pid})`,
    )
  } finally {
    server.close()
  }
})

test('a receiver of datagrams is named', async () => {
  const socket = createSocket({ type: 'udp6', reuseAddr: true })
  await new Promise<void>((resolve) => socket.bind(0, '::1', resolve))
  const { port } = socket.address()
  try {
    assert.match(
      String(holderAtHome('udp', port)),
      new RegExp(`${program} \\(pid ${process.pid}\\)`),
    )
  } finally {
    socket.close()
  }
})

test("connections of a server that has ended are in nobody's way", async () => {
  const server = createServer((socket) => socket.end())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  // The server's side closes first, and keeps the connection's end for a minute.
  const client = connect(port, '127.0.0.1')
  client.resume()
  await once(client, 'close')
  server.close()
  await once(server, 'close')
  const left = namespaces.kernel.ports.listAt('tcp', port)
  assert.ok(left.length > 0)
  using ports = new HostPorts(namespaces.kernel)
  ports.reserve({ protocol: 'tcp', port, count: 1 })
  const late = createServer()
  late.listen(port, '127.0.0.1')
  const [error] = await once(late, 'error')
  assert.equal(error.code, 'EADDRINUSE')
})

test('a program that comes later is refused', () => {
  const { name, ports } = host()
  const held = ports.reserve({ protocol: 'tcp', port: 8080, count: 1 })
  assert.equal(listenIn(name, 8080), 3)
  assert.equal(listenIn(name, 8081), 0)
  held.release()
})
