/** Clients on a host's loopback addresses reach a container's port, and believe to have reached the loopback. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import type { LoopbackPortEntry } from '../../src/hoststate/hook-maps.ts'
import { openCgroupRoot } from '../../src/kernel/cgroup.ts'
import type { Family, IP } from '../../src/net/ip.ts'
import { CONTAINER, HOST, Hooked, PORT, TARGET_PORT } from './datapath/hooked.ts'
import { ip } from './datapath/packet.ts'
import { openSocket, type Place, type Socket } from './datapath/sockets.ts'
import { run } from './datapath/wire.ts'

let hooked: Hooked
beforeAll(() => {
  hooked = new Hooked()
  for (const family of [4, 6] as const) {
    for (const protocol of ['tcp', 'udp'] as const) hooked.put({ family, protocol })
  }
})
afterAll(() => hooked[Symbol.dispose]())

const HELLO = new TextEncoder().encode('hello')
const SO_MARK = { level: 1, name: 36 } as const

function markOf(socket: Socket): number {
  return socket.optionValue(SO_MARK.level, SO_MARK.name)
}

/** A listener or receiver in the container, of one family. */
function serve(kind: 'tcp' | 'udp', family: Family, port = TARGET_PORT): Socket {
  const address = family === 4 ? CONTAINER.ip4 : CONTAINER.ip6
  const socket = openSocket(hooked.container, kind, address).option(1, 2, 1).bind(address, port)
  return kind === 'tcp' ? socket.listen() : socket
}

/** Sends a datagram without connecting and answers it; what the client sees, undefined when nothing came. */
function ask(client: Socket, server: Socket, to: IP, port = PORT): string | undefined {
  client.sendTo(HELLO, to, port)
  const request = server.receiveFrom()
  const [address = '', from = ''] = request?.from.split(' ') ?? []
  if (request === undefined) return undefined
  server.sendTo(request.bytes, ip(address), Number(from))
  return client.receiveFrom()?.from
}

interface Way {
  readonly what: string
  readonly to: IP
  readonly socket: Family
  readonly inner: Family
}

const WAYS: readonly Way[] = [
  { what: '127.0.0.1', to: ip('127.0.0.1'), socket: 4, inner: 4 },
  { what: '127.200.3.4', to: ip('127.200.3.4'), socket: 4, inner: 4 },
  { what: '::1', to: ip('::1'), socket: 6, inner: 6 },
  { what: '::ffff:127.0.0.1', to: ip('127.0.0.1'), socket: 6, inner: 4 },
]

for (const { what, to, socket, inner } of WAYS) {
  const open = (kind: 'tcp' | 'udp', ns: Place = hooked.host) => openSocket(ns, kind, to, socket)
  const host = inner === 4 ? HOST.ip4 : HOST.ip6

  describe(what, () => {
    test('a TCP client reaches the container, and its peer is the loopback address', () => {
      using server = serve('tcp', inner)
      using client = open('tcp')
      expect(client.connect(to, PORT)).toBe(true)
      using accepted = server.accept()
      expect(accepted.peer()).toStartWith(`${host} `)
      expect(client.peer()).toBe(`${to} ${PORT}`)
      client.send(HELLO)
      expect(accepted.receive(new Uint8Array(9))).toEqual(HELLO)
    })

    test('a connected UDP client hears the answer from the loopback address', () => {
      using server = serve('udp', inner)
      using client = open('udp')
      expect(client.connect(to, PORT)).toBe(true)
      client.send(HELLO)
      const request = server.receiveFrom()
      expect(request?.from).toStartWith(`${host} `)
      server.sendTo(HELLO, host, Number(request?.from.split(' ')[1]))
      expect(client.receiveFrom()).toEqual({ bytes: HELLO, from: `${to} ${PORT}` })
      expect(client.peer()).toBe(`${to} ${PORT}`)
    })

    test('an unconnected UDP client hears the answer from the loopback address', () => {
      using server = serve('udp', inner)
      using client = open('udp')
      for (let i = 0; i < 3; i++) expect(ask(client, server, to)).toBe(`${to} ${PORT}`)
    })

    test('a socket of another namespace is left as it is', () => {
      using tcp = open('tcp', hooked.stranger)
      expect(tcp.connect(to, PORT)).toBe(false)
      using own = openSocket(hooked.stranger, 'udp', to, socket).bind(to, PORT)
      using udp = open('udp', hooked.stranger)
      udp.sendTo(HELLO, to, PORT)
      expect(own.receiveFrom()?.bytes).toEqual(HELLO)
    })

    test('other ports and other addresses are left as they are', () => {
      using client = open('tcp')
      expect(client.connect(to, PORT + 1)).toBe(false)
      using server = serve('tcp', inner)
      using straight = open('tcp')
      const container = inner === 4 ? CONTAINER.ip4 : CONTAINER.ip6
      expect(straight.connect(container, TARGET_PORT)).toBe(true)
      using accepted = server.accept()
      expect(accepted.peer()).toStartWith(`${host} `)
      expect(straight.peer()).toBe(`${container} ${TARGET_PORT}`)
    })

    test('a socket that is bound to the loopback address stays there', () => {
      using own = open('udp').bind(to, PORT)
      using client = open('udp').bind(to, 0)
      client.sendTo(HELLO, to, PORT)
      expect(own.receiveFrom()?.bytes).toEqual(HELLO)
      using tcp = open('tcp').bind(to, 0)
      expect(tcp.connect(to, PORT)).toBe(false)
    })
  })
}

test('the entry of one address wins over that of all, and each protocol has its own', () => {
  const one = ip('127.0.0.5')
  hooked.put({ family: 4, address: one, targetPort: 81 })
  hooked.put({ family: 4, port: 8081, address: one, targetPort: 81 })
  using server = serve('tcp', 4, 81)
  using client = openSocket(hooked.host, 'tcp', one)
  expect(client.connect(one, PORT)).toBe(true)
  server.accept()[Symbol.dispose]()
  using other = openSocket(hooked.host, 'tcp', one)
  expect(other.connect(ip('127.0.0.6'), 8081)).toBe(false)
  using udp = openSocket(hooked.host, 'udp', one).option(1, 2, 1).bind(one, 8081)
  using sender = openSocket(hooked.host, 'udp', one)
  sender.sendTo(HELLO, one, 8081)
  expect(udp.receiveFrom()?.bytes).toEqual(HELLO)
})

test('one socket may ask several ports, and knows them apart', () => {
  const ports = [9001, 9002, 9003, 9004]
  for (const port of ports)
    hooked.put({ family: 4, protocol: 'udp', port, targetPort: port - 8900 })
  const servers = ports.map((port) => serve('udp', 4, port - 8900))
  using client = openSocket(hooked.host, 'udp', HOST.ip4)
  for (let round = 0; round < 2; round++) {
    for (const [i, server] of servers.entries()) {
      const to = ip(`127.0.0.${i + 1}`)
      expect(ask(client, server, to, ports[i])).toBe(`${to} ${ports[i]}`)
    }
  }
  for (const server of servers) server[Symbol.dispose]()
})

test('from ::1 an IPv4 container is reached by clients that connect', () => {
  const entry = { family: 6, port: 8090, target: CONTAINER.ip4 } as const
  const to = ip('::1')
  for (const protocol of ['tcp', 'udp'] as const) {
    hooked.put({ ...entry, protocol })
    using server = serve(protocol, 4)
    using client = openSocket(hooked.host, protocol, to)
    expect(client.connect(to, 8090)).toBe(true)
    expect(client.peer()).toBe('::1 8090')
    client.send(HELLO)
    if (protocol === 'udp') expect(server.receiveFrom()?.bytes).toEqual(HELLO)
    else server.accept()[Symbol.dispose]()
  }
  using own = openSocket(hooked.host, 'udp', to).bind(to, 8090)
  using client = openSocket(hooked.host, 'udp', to)
  client.sendTo(HELLO, to, 8090)
  expect(own.receiveFrom()?.bytes).toEqual(HELLO)
})

test('from 127.0.0.1 an IPv6 container is not reached, since no socket could', () => {
  hooked.put({ family: 4, port: 8091, target: CONTAINER.ip6 })
  using client = openSocket(hooked.host, 'tcp', HOST.ip4)
  expect(client.connect(ip('127.0.0.1'), 8091)).toBe(false)
})

describe('with a mark', () => {
  const MARK = 0x05000000
  const loopback = { 4: ip('127.0.0.1'), 6: ip('::1') } as const
  const port = 8092
  const entry = (family: Family, protocol: LoopbackPortEntry['protocol']) =>
    hooked.put({ family, protocol, port, mark: MARK })

  for (const family of [4, 6] as const) {
    const to = loopback[family]

    test(`IPv${family}: a socket that connects has it, until it connects elsewhere`, () => {
      for (const protocol of ['tcp', 'udp'] as const) {
        entry(family, protocol)
        using server = serve(protocol, family)
        using client = openSocket(hooked.host, protocol, to)
        expect(client.connect(to, port)).toBe(true)
        expect(markOf(client)).toBe(MARK)
        if (protocol === 'tcp') continue
        client.send(HELLO)
        expect(server.receiveFrom()?.bytes).toEqual(HELLO)
        expect(client.connect(family === 4 ? CONTAINER.ip4 : CONTAINER.ip6, 99)).toBe(true)
        expect(markOf(client)).toBe(0)
      }
    })

    test(`IPv${family}: a mark that the client had comes back`, () => {
      entry(family, 'udp')
      using client = openSocket(hooked.host, 'udp', to).option(SO_MARK.level, SO_MARK.name, 7)
      client.connect(to, port)
      expect(markOf(client)).toBe(MARK)
      client.connect(to, PORT) // published without a mark
      expect(markOf(client)).toBe(7)
    })

    test(`IPv${family}: the first datagram of an unconnected socket never goes unmarked`, () => {
      entry(family, 'udp')
      using own = openSocket(hooked.host, 'udp', to).bind(to, port)
      using server = serve('udp', family)
      using client = openSocket(hooked.host, 'udp', to)
      client.sendTo(HELLO, to, port)
      expect(own.receiveFrom()?.bytes).toEqual(HELLO)
      expect(markOf(client)).toBe(MARK)
      expect(ask(client, server, to, port)).toBe(`${to} ${port}`)
      client.sendTo(HELLO, family === 4 ? HOST.ip4 : HOST.ip6, 99)
      expect(markOf(client)).toBe(0)
    })
  }
})

describe('links', () => {
  const reaches = () => {
    using server = serve('tcp', 4)
    using client = openSocket(hooked.host, 'tcp', HOST.ip4)
    if (!client.connect(ip('127.0.0.1'), PORT)) return false
    server.accept()[Symbol.dispose]()
    return true
  }

  test("a dead daemon's hooks work on, and the next one takes them over instead of adding its own", () => {
    const before = hooked.links()
    using root = openCgroupRoot(`/run/ckt${process.pid}-cgroup`)
    for (const link of before) expect(link?.cgroupId).toBe(root.id)
    hooked.die()
    expect(reaches()).toBe(true)
    hooked.start()
    expect(reaches()).toBe(true)
    const after = hooked.links()
    expect(after.map((link) => link?.id)).toEqual(before.map((link) => link?.id))
    for (const [i, link] of after.entries()) expect(link?.programId).not.toBe(before[i]?.programId)
  })

  test('without their pins they are gone, and stand again after the next start', () => {
    hooked.detach()
    // The kernel lets go of a link some time after its last pin went.
    const deadline = performance.now() + 5_000
    while (reaches() && performance.now() < deadline);
    expect(reaches()).toBe(false)
    expect(hooked.links()).toEqual(hooked.links().map(() => undefined))
    hooked.start()
    expect(reaches()).toBe(true)
  })

  test('where the cgroup tree is mounted nowhere it is opened all the same, and not left mounted', () => {
    const script = new URL('../../src/kernel/cgroup.ts', import.meta.url).pathname
    const directory = `/run/ckt${process.pid}-cgroup`
    const code = `import { openCgroupRoot } from '${script}'
      using root = openCgroupRoot('${directory}')
      console.log(root.id)`
    const bare = `cut -d' ' -f5,9- /proc/self/mountinfo | grep ' cgroup2 ' | cut -d' ' -f1 | sort -r | xargs -r umount -l`
    const id = run(
      `unshare -m --propagation private sh -c "${bare}; ${process.execPath} -e \\"${code}\\"; ! grep -q ' cgroup2 ' /proc/self/mountinfo"`,
    )
    using root = openCgroupRoot(directory)
    expect(Number(id)).toBe(root.id)
    expect(existsSync(directory)).toBe(false)
  })
})
