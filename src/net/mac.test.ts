import { expect, test } from 'bun:test'
import { parseIP } from './ip.ts'
import { isUnicastMac, macBytes, macForAddress, macFromBytes, parseMac } from './mac.ts'

for (const { text, want } of [
  { text: '0A:00:00:00:00:50', want: '0a:00:00:00:00:50' },
  { text: '0a-00-00-00-00-50', want: '0a:00:00:00:00:50' },
  { text: 'zz', want: undefined },
  { text: '0a:00:00:00:00', want: undefined },
]) {
  test(`parseMac() of "${text}" is ${want ?? 'refused'}`, () => {
    expect(parseMac(text) as string | undefined).toBe(want as never)
  })
}

test('an address keeps its MAC, which is local and unicast', () => {
  const ip = parseIP('10.80.0.9')
  if (ip === undefined) throw new Error('fixture')
  const mac = macForAddress(7, ip)
  expect(macForAddress(7, ip)).toBe(mac)
  expect(macForAddress(8, ip)).not.toBe(mac)
  expect(isUnicastMac(mac)).toBe(true)
  expect((macBytes(mac)[0] ?? 0) & 2).toBe(2)
  expect(macFromBytes(macBytes(mac))).toBe(mac)
})
