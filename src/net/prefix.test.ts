import { expect, test } from 'bun:test'
import fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import { ipFromBytes, parseIP } from './ip.ts'
import {
  addressAt,
  parsePrefix,
  prefixAround,
  prefixAroundAll,
  prefixContains,
  prefixesOverlap,
  prefixSize,
  subPrefix,
  suggestPrefix,
} from './prefix.ts'

for (const { text, want } of [
  { text: '10.80.0.0/16', want: '10.80.0.0/16' },
  { text: 'FD80::/48', want: 'fd80::/48' },
  { text: '0.0.0.0/0', want: '0.0.0.0/0' },
  { text: '10.80.0.1/16', want: undefined }, // host bits
  { text: '10.80.0.0/33', want: undefined },
  { text: '10.80.0.0/016', want: undefined },
  { text: '10.80.0.0', want: undefined },
  { text: '10.80.0.0/16/8', want: undefined },
  { text: 'fd80::/129', want: undefined },
]) {
  test(`parsePrefix() of "${text}" is ${want ?? 'refused'}`, () => {
    expect(parsePrefix(text) as string | undefined).toBe(want as never)
  })
}

test('suggestPrefix() clears the host bits for a message', () => {
  expect(suggestPrefix('10.80.3.1/16') as string | undefined).toBe('10.80.0.0/16')
  expect(suggestPrefix('hello')).toBeUndefined()
})

test('an address lies in the prefix around it, as another library says', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.nat(32), (b, length) => {
      const ip = ipFromBytes(b)
      const prefix = prefixAround(ip, length)
      expect(prefixContains(prefix, ip)).toBe(true)
      expect(ipaddr.IPv4.networkAddressFromCIDR(`${ip}/${length}`).toString()).toBe(
        prefix.split('/')[0] as string,
      )
    }),
  )
})

test('sub-prefixes tile their prefix and do not overlap', () => {
  const prefix = parsePrefix('fd80::/48')
  if (prefix === undefined) throw new Error('fixture')
  const parts = [0n, 1n, 2n, 65535n].map((i) => subPrefix(prefix, 64, i))
  expect(parts as unknown).toEqual([
    'fd80::/64',
    'fd80:0:0:1::/64',
    'fd80:0:0:2::/64',
    'fd80:0:0:ffff::/64',
  ])
  expect(subPrefix(prefix, 64, 65536n)).toBeUndefined()
  expect(prefixesOverlap(parts[0] ?? prefix, parts[1] ?? prefix)).toBe(false)
  expect(prefixesOverlap(prefix, parts[3] ?? prefix)).toBe(true)
})

test('addressAt() counts from the first address and stops at the last', () => {
  const prefix = parsePrefix('192.0.2.0/30')
  if (prefix === undefined) throw new Error('fixture')
  expect(prefixSize(prefix)).toBe(4n)
  expect(addressAt(prefix, 3n)).toBe(parseIP('192.0.2.3'))
  expect(addressAt(prefix, 4n)).toBeUndefined()
})

test('the prefix around several is the smallest with all of them', () => {
  const around = (...texts: readonly string[]) =>
    `${prefixAroundAll(texts.flatMap((text) => parsePrefix(text) ?? []))}`
  expect(around()).toBe('undefined')
  expect(around('10.80.0.0/16')).toBe('10.80.0.0/16')
  expect(around('10.80.0.0/16', '10.80.4.0/24')).toBe('10.80.0.0/16')
  expect(around('10.80.0.0/16', '10.81.0.0/16')).toBe('10.80.0.0/15')
  expect(around('10.80.0.0/16', '192.168.0.0/24')).toBe('0.0.0.0/0')
  expect(around('fd80::/48', 'fd80:0:1::/48')).toBe('fd80::/47')
})
