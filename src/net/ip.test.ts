import { expect, test } from 'bun:test'
import fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import {
  compareIP,
  ipBytes,
  ipFromBytes,
  ipFromNumber,
  ipToHex,
  ipToNumber,
  parseIP,
} from './ip.ts'

for (const { text, want } of [
  { text: '10.0.0.1', want: '10.0.0.1' },
  { text: '10.0.0.256', want: undefined },
  { text: '010.0.0.1', want: undefined }, // leading zero: octal to some, so to nobody
  { text: '10.0.0', want: undefined },
  { text: '', want: undefined },
  { text: 'fd80::1', want: 'fd80::1' },
  { text: 'FD80:0:0:0:0:0:0:1', want: 'fd80::1' },
  { text: '2001:db8:0:0:1:0:0:1', want: '2001:db8::1:0:0:1' }, // first of two equal runs
  { text: '2001:db8:0:1:1:1:1:1', want: '2001:db8:0:1:1:1:1:1' }, // one zero group is written out
  { text: '::', want: '::' },
  { text: '1::', want: '1::' },
  { text: '64:ff9b::192.0.2.33', want: '64:ff9b::c000:221' },
  { text: '::ffff:192.0.2.1', want: undefined }, // the same address with two names
  { text: 'fe80::1%eth0', want: undefined },
  { text: '1::2::3', want: undefined },
  { text: '1:2:3:4:5:6:7', want: undefined },
  { text: '1:2:3:4:5:6:7:8:9', want: undefined },
  { text: '1:2:3:4:5:6:7::8', want: undefined }, // `::` must stand for at least one group of two bytes
  { text: '12345::', want: undefined },
]) {
  test(`parseIP() of "${text}" is ${want ?? 'refused'}`, () => {
    expect(parseIP(text) as string | undefined).toBe(want as never)
  })
}

const bytes = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 }),
  fc.uint8Array({ minLength: 16, maxLength: 16 }).filter((b) => b[0] !== 0),
  fc
    .tuple(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.nat(255))
    .map(([b, mask]) => b.map((v, i) => (i === 0 ? 0xfd : (mask >> (i >> 1)) & 1 ? v : 0))),
)

test('every address survives printing and parsing, as another library spells it', () => {
  fc.assert(
    fc.property(bytes, (b) => {
      const ip = ipFromBytes(b)
      expect(parseIP(ip)).toBe(ip)
      expect([...ipBytes(ip)]).toEqual([...b])
      expect(ipFromNumber(ipToNumber(ip), b.length === 4 ? 4 : 6)).toBe(ip)
      expect(ipaddr.fromByteArray([...b]).toString()).toBe(
        b.length === 4 ? ip : ipaddr.IPv6.parse(ip).toString(),
      )
    }),
  )
})

test('the hexadecimal spelling sorts as the numbers do', () => {
  fc.assert(
    fc.property(bytes, bytes, (x, y) => {
      const [a, b] = [ipFromBytes(x), ipFromBytes(y)]
      const byText = ipToHex(a) < ipToHex(b) ? -1 : ipToHex(a) > ipToHex(b) ? 1 : 0
      expect(compareIP(a, b)).toBe(byText)
    }),
  )
})
