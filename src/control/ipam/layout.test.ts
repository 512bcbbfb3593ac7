import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { bitsOf, type Family, type IP, ipFromNumber } from '../../net/ip.ts'
import { addressAt, type Prefix, prefixAround, prefixLength, prefixSize } from '../../net/prefix.ts'
import {
  blockLength,
  coveringBlocks,
  defaultGateway,
  isKeptForHosts,
  reservedAddresses,
  reservedFor,
  usableCount,
} from './layout.ts'

for (const { prefix, block, usable, gateway } of [
  { prefix: '10.0.0.0/8', block: 22, usable: 16777213n, gateway: '10.0.0.1' },
  { prefix: '10.80.0.0/16', block: 26, usable: 65533n, gateway: '10.80.0.1' },
  { prefix: '10.9.0.0/20', block: 28, usable: 4093n, gateway: '10.9.0.1' },
  { prefix: '10.9.0.0/24', block: 29, usable: 253n, gateway: '10.9.0.1' },
  { prefix: '192.0.2.0/28', block: 31, usable: 13n, gateway: '192.0.2.1' },
  { prefix: '192.0.2.0/30', block: 32, usable: 1n, gateway: '192.0.2.1' },
  { prefix: '192.0.2.0/31', block: 32, usable: 1n, gateway: '192.0.2.0' }, // RFC 3021
  { prefix: 'fd80::/48', block: 64, usable: (1n << 80n) - 2n, gateway: 'fd80::1' },
  { prefix: 'fd80::/64', block: 80, usable: (1n << 64n) - 2n, gateway: 'fd80::1' },
  { prefix: 'fd80::/112', block: 122, usable: 65534n, gateway: 'fd80::1' },
  { prefix: 'fd80::/120', block: 125, usable: 254n, gateway: 'fd80::1' },
  { prefix: 'fd80::/126', block: 128, usable: 2n, gateway: 'fd80::1' },
  { prefix: 'fd80::/127', block: 128, usable: 1n, gateway: 'fd80::' }, // RFC 6164
] as { prefix: Prefix; block: number; usable: bigint; gateway: string }[]) {
  test(`${prefix} is cut into /${block} and serves ${usable} endpoints`, () => {
    expect(blockLength(prefix)).toBe(block)
    expect(defaultGateway(prefix) as string).toBe(gateway)
    expect(usableCount(prefix, defaultGateway(prefix))).toBe(usable)
  })
}

const anyPrefix = fc
  .tuple(fc.constantFrom<Family>(4, 6), fc.bigInt(0n, (1n << 128n) - 1n), fc.nat(127))
  .map(([family, number, length]) => {
    const bits = bitsOf(family)
    const address = ipFromNumber(
      (number & ((1n << BigInt(bits)) - 1n)) | ((1n << 40n) >> 12n),
      family,
    )
    return prefixAround(address, 8 + (length % (bits - 8)))
  })

test('every block of a prefix is among the keys that could cover its addresses, and they are few', () => {
  fc.assert(
    fc.property(anyPrefix, fc.bigInt(0n, (1n << 128n) - 1n), (prefix, offset) => {
      const address = addressAt(prefix, offset % prefixSize(prefix))
      if (address === undefined) throw new Error('fixture')
      const covering = coveringBlocks(prefix, address)
      expect(blockLength(prefix)).toBeGreaterThanOrEqual(prefixLength(prefix))
      expect(covering).toContain(prefixAround(address, blockLength(prefix)))
      expect(covering.length).toBeLessThanOrEqual(80)
    }),
  )
})

test('the refusal of a reserved address says what it is', () => {
  const v4 = '10.9.0.0/24' as Prefix
  const v6 = 'fd80::/64' as Prefix
  const of = (prefix: Prefix, offset: bigint) =>
    reservedFor(prefix, defaultGateway(prefix), addressAt(prefix, offset) ?? defaultGateway(prefix))
  expect(of(v4, 0n)).toBe('the network address')
  expect(of(v4, 1n)).toBe('the gateway')
  expect(of(v4, 2n)).toBeUndefined()
  expect(of(v4, 255n)).toBe('the broadcast address')
  expect(of(v6, 0n)).toBe('the subnet-router anycast address')
  expect(of(v6, prefixSize(v6) - 1n)).toBeUndefined()
  expect(
    reservedAddresses('10.0.0.0/31' as Prefix, defaultGateway('10.0.0.0/31' as Prefix)).size,
  ).toBe(1)
})

for (const { address, kept } of [
  { address: '10.9.0.7', kept: true },
  { address: '10.9.0.6', kept: false },
  { address: '10.9.0.254', kept: true }, // beside the broadcast address
  { address: '10.9.0.247', kept: true },
]) {
  test(`${address} of a /24 is ${kept ? '' : 'not '}kept for a host`, () => {
    expect(isKeptForHosts('10.9.0.0/24' as Prefix, '10.9.0.1' as IP, address as IP)).toBe(kept)
  })
}
