import { test } from 'bun:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { isNetworkError } from '../../lib/errors.ts'
import { ipFromBytes } from '../../net/ip.ts'
import { prefixAround } from '../../net/prefix.ts'
import type { Request } from '../netlink/message.ts'
import { Attributes } from '../netlink/reader.ts'
import { Writer } from '../netlink/writer.ts'
import { putAddress, readAddress } from './addresses.ts'
import { putFilter, readFilter } from './filters.ts'
import { createLink, readLink, removeGroup, setLink } from './links.ts'
import { putNeighbour, readNeighbour } from './neighbours.ts'
import { createClsact, readClsact } from './qdiscs.ts'
import { putRoute, readRoute, readRouteAnswer } from './routes.ts'
import { putRule, readRule } from './rules.ts'
import { readVxlan, writeVxlan } from './vxlan.ts'

const ipv4 = fc.uint8Array({ minLength: 4, maxLength: 4 }).map(ipFromBytes)
const ipv6 = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  // IPv4-mapped text is refused on purpose.
  .filter((bytes) => bytes[0] !== 0)
  .map(ipFromBytes)
const ip = fc.oneof(ipv4, ipv6)
const prefix = fc.oneof(
  fc.tuple(ipv4, fc.nat(32)).map(([address, length]) => prefixAround(address, length)),
  fc.tuple(ipv6, fc.nat(128)).map(([address, length]) => prefixAround(address, length)),
)
const index = fc.integer({ min: 1, max: 0x7fffffff })
/** Objects as the program's own, with a prototype. */
const PLAIN = { noNullPrototype: true } as const
const u32 = fc.nat(0xffffffff)
const mac = fc.uint8Array({ minLength: 6, maxLength: 6 }).map((bytes) =>
  Buffer.from(bytes)
    .toString('hex')
    .replace(/(..)(?=.)/g, '$1:'),
)

test('readRoute() gives back what putRoute() writes', () => {
  fc.assert(
    fc.property(
      fc.record(
        {
          destination: prefix,
          table: u32,
          protocol: fc.integer({ min: 1, max: 255 }),
          metric: u32,
          device: index,
          gateway: ip,
          mtuBytes: u32,
          advmssBytes: u32,
          onlink: fc.boolean(),
        },
        PLAIN,
      ),
      (route) => {
        const read = readRoute(putRoute(route).body)
        assert.ok(read !== undefined)
        const { destination, table, protocol, metric, device, gateway } = read
        const { mtuBytes, advmssBytes, onlink } = read
        assert.deepEqual(
          {
            ...{ destination, table, protocol, metric, device, gateway },
            ...{ mtuBytes, advmssBytes, onlink },
          },
          route,
        )
      },
    ),
  )
})

test('readRule() gives back what putRule() writes', () => {
  fc.assert(
    fc.property(
      fc.record(
        {
          priority: u32,
          table: fc.integer({ min: 1, max: 0xffffffff }),
          mark: u32,
          mask: u32,
          source: prefix,
          inputDevice: fc.constantFrom('eth0', 'a.b'),
          protocol: fc.nat(255),
        },
        PLAIN,
      ),
      (given) => {
        fc.pre(!given.source.endsWith('/0'))
        const rule = { ...given, family: given.source.includes(':') ? (6 as const) : (4 as const) }
        assert.deepEqual(readRule(putRule(rule).body), {
          ...rule,
          destination: undefined,
          outputDevice: undefined,
          action: 'lookup',
        })
      },
    ),
  )
})

test('readAddress() gives back what putAddress() writes', () => {
  fc.assert(
    fc.property(ip, index, fc.boolean(), (address, device, noPrefixRoute) => {
      const read = readAddress(
        putAddress({ address, device, prefixLength: 32, noPrefixRoute, noDad: true }).body,
      )
      assert.deepEqual(read, {
        address,
        device,
        prefixLength: 32,
        scope: address.startsWith('127.') ? 'host' : 'global',
        noDad: address.includes(':'),
        tentative: false,
        noPrefixRoute,
      })
    }),
  )
})

test('readNeighbour() gives back what putNeighbour() writes', () => {
  fc.assert(
    fc.property(ip, index, mac, (address, device, mac) => {
      const read = readNeighbour(putNeighbour({ address, device, mac }).body)
      assert.deepEqual(read, { address, device, mac, state: 'permanent' })
    }),
  )
})

test('readClsact() gives back the blocks createClsact() writes', () => {
  const clsact = { device: 7, ingressBlock: 4711, egressBlock: 4712 }
  assert.deepEqual(readClsact(createClsact(clsact).body), clsact)
})

test('readFilter() finds place, priority and handle again', () => {
  const place = { block: 3 }
  const read = readFilter(
    putFilter({ place, priority: 65535, handle: 2, name: 'x', programFd: 9 }).body,
    place,
  )
  assert.deepEqual(
    { priority: read?.priority, handle: read?.handle, name: read?.name },
    { priority: 65535, handle: 2, name: 'x' },
  )
})

test('readVxlan() gives back what writeVxlan() writes', () => {
  const options = {
    port: 4789,
    vni: undefined,
    collectMetadata: true,
    learning: false,
    udpZeroCsum6Tx: true,
    udpZeroCsum6Rx: false,
  }
  const { vni: _, ...given } = options
  const writer = new Writer()
  writeVxlan(writer, { name: 'v', ...given })
  assert.deepEqual(readVxlan(new Attributes(writer.finish())), options)
})

test('readers take any bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => {
      readLink(noise)
      readAddress(noise)
      readRoute(noise)
      readRouteAnswer(noise)
      readRule(noise)
      readNeighbour(noise)
      readClsact(noise)
      readFilter(noise, { block: 1 })
    }),
  )
})

const samples: readonly {
  readonly read: (body: Uint8Array) => unknown
  readonly request: Request
}[] = [
  {
    read: readLink,
    request: createLink('veth', { name: 'a', mac: '02:00:00:00:00:01', mtuBytes: 1500 }),
  },
  {
    read: readRoute,
    request: putRoute({ destination: '10.0.0.0/8', gateway: 'fe80::1', device: 3, mtuBytes: 1400 }),
  },
  { read: readRule, request: putRule({ family: 6, priority: 1, table: 2, source: 'fd00::/8' }) },
  { read: readAddress, request: putAddress({ device: 1, address: 'fd00::1', prefixLength: 64 }) },
]
for (const { read, request } of samples) {
  test(`${read.name}() survives a message cut off anywhere`, () => {
    for (let length = 0; length <= request.body.length; length++) {
      read(request.body.subarray(0, length))
    }
  })
}

for (const { name, what } of [
  { name: '', what: 'an empty name' },
  { name: '0123456789abcdef', what: 'sixteen bytes' },
  { name: 'äääääääé', what: 'sixteen bytes in eight letters' },
  { name: 'a\0b', what: 'a zero byte' },
]) {
  test(`createLink() refuses ${what}`, () => {
    assert.throws(
      () => createLink('bridge', { name }),
      (error) => isNetworkError(error, 'invalid'),
    )
  })
}

test('removeGroup() refuses the group everybody is in', () => {
  assert.throws(() => removeGroup(0), /group 0/)
})

test('setLink() refuses to rename a device it knows by name only', () => {
  assert.throws(() => setLink('a', { name: 'b' }), /needs its index/)
})

for (const text of ['10.0.0.1/8', '10.0.0.0/33', 'fd00::/129', 'x', '']) {
  test(`putRoute() refuses the destination "${text}"`, () => {
    assert.throws(
      () => putRoute({ destination: text }),
      (error) => isNetworkError(error, 'invalid'),
    )
  })
}
