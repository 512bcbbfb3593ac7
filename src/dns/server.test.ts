/** Doors on the loopback, and resolvers behind them that are silent, refuse, lie or answer. */

import { expect, test } from 'bun:test'
import { createSocket, type Socket as Datagrams } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import * as dnsPacket from 'dns-packet'
import { listenMarkedTcp, openMarkedUdp } from '../kernel/marked-sockets.ts'
import type { Log } from '../lib/log.ts'
import type { IP } from '../net/ip.ts'
import { ip } from '../net/testing.ts'
import type { NameTable } from './answer.ts'
import { Forwarder } from './forwarder.ts'
import { Frames, frame } from './frames.ts'
import { DnsServer } from './server.ts'
import { askingPacket } from './testing.ts'

const HERE = ip('127.0.0.1')
const log: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => log }
const table: NameTable = {
  addresses: (asker, name) =>
    name === 'web'
      ? { kind: 'known', values: [asker === undefined ? ip('10.0.0.1') : ip('10.80.0.2')] }
      : { kind: 'foreign' },
  names: () => ({ kind: 'foreign' }),
}

type Behaviour = (query: Uint8Array, reply: (bytes: Uint8Array) => void) => void

const silent: Behaviour = () => {}
const answering: Behaviour = (query, reply) => reply(response(query, 0, '203.0.113.7'))
const failing: Behaviour = (query, reply) => reply(response(query, 2))

function response(query: Uint8Array, rcode: number, ...data: readonly string[]): Uint8Array {
  const { id = 0, questions = [] } = dnsPacket.decode(Buffer.from(query))
  const name = questions[0]?.name ?? ''
  return dnsPacket.encode({
    type: 'response',
    id,
    flags: rcode,
    questions,
    answers: data.map((each) => ({ type: 'A', name, ttl: 1, data: each })),
  })
}

/** Resolvers at 127.0.0.x of one port, by UDP and TCP. */
async function resolvers(...behaviours: readonly Behaviour[]) {
  const stack = new DisposableStack()
  const asked: string[] = []
  let port = 0
  for (const [i, behaviour] of behaviours.entries()) {
    const address = `127.0.0.${i + 11}`
    const socket: Datagrams = createSocket('udp4')
    socket.on('error', () => {}) // of askers that are gone
    socket.on('message', (query, from) => {
      asked.push(address)
      behaviour(query, (bytes) => socket.send(bytes, from.port, from.address))
    })
    socket.bind(port, address)
    await once(socket, 'listening')
    port = socket.address().port
    stack.defer(() => void socket.close())
    const server = createServer((stream) => {
      const frames = new Frames()
      stream.on('error', () => stream.destroy())
      stream.on('data', (piece: Buffer) => {
        for (const query of frames.take(piece))
          behaviour(query, (bytes) => stream.write(frame(bytes)))
      })
    })
    server.listen(port, address)
    await once(server, 'listening')
    stack.defer(() => void server.close())
  }
  const servers = behaviours.map((_, i) => `127.0.0.${i + 11}`)
  return { asked, port, servers, [Symbol.dispose]: () => stack.dispose() }
}

function forwarderTo(servers: readonly string[], port: number): Forwarder {
  const nowMs = (): number => performance.now()
  return new Forwarder({ servers: async () => servers, nowMs, timeoutMs: 100, port })
}

function serverWith(forwarder: Forwarder): DnsServer {
  const sockets = { openUdp: openMarkedUdp, listenTcp: listenMarkedTcp }
  return new DnsServer({ table, domain: 'carrick', random: Math.random, forwarder, sockets, log })
}

function said(bytes: Uint8Array | undefined): string {
  if (bytes === undefined) return 'nothing'
  const answer = dnsPacket.decode(Buffer.from(bytes))
  const data = answer.answers?.map((each) => ('data' in each ? `${each.data}` : '')) ?? []
  return [(answer as unknown as { rcode: string }).rcode, ...data].join(' ')
}

for (const { what, behaviours, want, asked } of [
  {
    what: 'the first that answers',
    behaviours: [answering, failing],
    want: 'NOERROR 203.0.113.7',
    asked: 1,
  },
  {
    what: 'the second where the first is silent',
    behaviours: [silent, answering],
    want: 'NOERROR 203.0.113.7',
    asked: 2,
  },
  {
    what: 'the second where the first fails',
    behaviours: [failing, answering],
    want: 'NOERROR 203.0.113.7',
    asked: 2,
  },
  {
    what: 'a failure where all are silent',
    behaviours: [silent, silent],
    want: 'SERVFAIL',
    asked: 2,
  },
  { what: 'a failure where there is nobody', behaviours: [], want: 'SERVFAIL', asked: 0 },
]) {
  test(`a foreign name is answered by ${what}`, async () => {
    using others = await resolvers(...behaviours)
    using server = serverWith(forwarderTo(others.servers, others.port))
    const query = askingPacket('www.example.org', 'A', { id: 0x1234 })
    const answer = await server.answer(query, 'udp', {}, HERE)
    expect(said(answer)).toBe(want)
    expect(dnsPacket.decode(Buffer.from(answer ?? [])).id).toBe(0x1234)
    expect(others.asked.length).toBe(asked)
  })
}

test('one that was silent is asked last', async () => {
  using others = await resolvers(silent, answering)
  const forwarder = forwarderTo(others.servers, others.port)
  for (let i = 0; i < 2; i++) await forwarder.ask(askingPacket('example.org', 'A'), 'udp', 'me')
  expect(others.asked).toEqual(['127.0.0.11', '127.0.0.12', '127.0.0.12'])
})

test('an answer to another question is none', async () => {
  using others = await resolvers((query, reply) => {
    reply(response(askingPacket('lie.example.org', 'A', { id: 1 }), 0, '198.51.100.66'))
    reply(new Uint8Array(3))
    const wrong = Buffer.from(response(query, 0, '198.51.100.66'))
    wrong[13] = 'z'.charCodeAt(0)
    reply(wrong)
    reply(response(query, 0, '203.0.113.7'))
  })
  const forwarder = forwarderTo(others.servers, others.port)
  for (const transport of ['udp', 'tcp'] as const) {
    const answer = await forwarder.ask(askingPacket('www.example.org', 'A'), transport, 'me')
    expect(said(answer)).toBe('NOERROR 203.0.113.7')
  }
})

test('what one asker has under way is bounded', async () => {
  using others = await resolvers(silent)
  const forwarder = forwarderTo(others.servers, others.port)
  const query = askingPacket('www.example.org', 'A')
  const [first, ...rest] = Array.from({ length: 200 }, () => forwarder.ask(query, 'udp', 'greedy'))
  const settled = await Promise.all([...rest.slice(-50), Promise.resolve(undefined)])
  expect(settled.every((each) => each === undefined)).toBe(true)
  expect(await first).toBeUndefined()
  expect(others.asked.length).toBeLessThanOrEqual(128)
})

test('each door knows its network, by datagrams and by streams', async () => {
  using server = serverWith(forwarderTo([], 1))
  const [anyone, blue] = await freePorts(2)
  server.want([
    { address: HERE, port: anyone, mark: 0 },
    { address: HERE, port: blue, networkId: 'blue', mark: 0 },
  ])
  for (const [port, want] of [
    [anyone, 'NOERROR 10.0.0.1'],
    [blue, 'NOERROR 10.80.0.2'],
  ] as const) {
    expect(said(await datagram(port, askingPacket('web', 'A')))).toBe(want)
    expect(
      (await stream(port, [askingPacket('web', 'A'), askingPacket('web', 'A')])).map(said),
    ).toEqual([want, want])
  }
  // One goes, the other stays.
  server.want([{ address: HERE, port: anyone, mark: 0 }])
  expect(said(await datagram(anyone, askingPacket('web', 'A')))).toBe('NOERROR 10.0.0.1')
  await expect(stream(blue, [askingPacket('web', 'A')])).rejects.toThrow('ECONNREFUSED')
})

test('noise at a door hurts nobody', async () => {
  using server = serverWith(forwarderTo([], 1))
  const [port] = await freePorts(1)
  server.want([{ address: HERE, port, mark: 0 }])
  await datagram(port, askingPacket('web', 'A'))
  const noise = Uint8Array.from({ length: 3_000 }, (_, i) => (i * 7919) % 251)
  for (let i = 0; i < 100; i++) {
    const socket = createSocket('udp4')
    socket.send(noise.subarray(i, i + 20 + i), port, HERE, () => socket.close())
  }
  const [broken, half] = [connect(port, HERE), connect(port, HERE)]
  for (const each of [broken, half]) each.on('error', () => {})
  broken.write(noise)
  half.write(Uint8Array.of(0))
  expect(said(await datagram(port, askingPacket('web', 'A')))).toBe('NOERROR 10.0.0.1')
  expect((await stream(port, [askingPacket('web', 'A')])).map(said)).toEqual(['NOERROR 10.0.0.1'])
  broken.destroy()
  half.destroy()
})

test('a door that cannot be opened yet is opened when it can be', async () => {
  using server = serverWith(forwarderTo([], 1))
  const [port] = await freePorts(1)
  const taken = createSocket('udp4')
  taken.bind(port, HERE)
  await once(taken, 'listening')
  server.want([{ address: HERE, port, mark: 0 }])
  taken.close()
  expect(said(await datagram(port, askingPacket('web', 'A')))).toBe('NOERROR 10.0.0.1')
})

/** Asks again until somebody listens. */
async function datagram(port: number, query: Uint8Array): Promise<Uint8Array> {
  for (;;) {
    const socket = createSocket('udp4')
    const { promise, resolve } = Promise.withResolvers<Uint8Array | undefined>()
    socket.on('message', (bytes) => resolve(bytes)).on('error', () => resolve(undefined))
    socket.connect(port, HERE, () => socket.send(query))
    const timer = setTimeout(() => resolve(undefined), 200)
    const answer = await promise
    clearTimeout(timer)
    socket.close()
    if (answer !== undefined) return answer
  }
}

function stream(port: number, queries: readonly Uint8Array[]): Promise<readonly Uint8Array[]> {
  const { promise, resolve, reject } = Promise.withResolvers<readonly Uint8Array[]>()
  const [socket, frames] = [connect(port, HERE as IP), new Frames()]
  const answers: Uint8Array[] = []
  socket.on('error', reject)
  socket.on('data', (piece: Buffer) => {
    answers.push(...frames.take(piece))
    if (answers.length < queries.length) return
    socket.destroy()
    resolve(answers)
  })
  socket.write(Buffer.concat(queries.map(frame)))
  return promise
}

async function freePorts<const N extends 1 | 2>(
  count: N,
): Promise<N extends 1 ? [number] : [number, number]> {
  const held = Array.from({ length: count }, () => createServer().listen(0, HERE))
  await Promise.all(held.map((each) => once(each, 'listening')))
  const ports = held.map((each) => (each.address() as { port: number }).port)
  for (const each of held) each.close()
  return ports as N extends 1 ? [number] : [number, number]
}
