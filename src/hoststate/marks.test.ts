import { expect, test } from 'bun:test'
import { DEFAULT_MARK_MASK, packetMarks } from './marks.ts'

for (const { mask, passed, unchecked, indexMask, five } of [
  {
    mask: DEFAULT_MARK_MASK,
    passed: 1 << 22,
    unchecked: 1 << 23,
    indexMask: 0xff000000,
    five: 0x05000000,
  },
  { mask: 0x3ff, passed: 1, unchecked: 2, indexMask: 0x3fc, five: 20 },
  { mask: 0x3ff00, passed: 0x100, unchecked: 0x200, indexMask: 0x3fc00, five: 0x1400 },
]) {
  test(`packetMarks() of 0x${mask.toString(16)}`, () => {
    const marks = packetMarks(mask)
    expect(marks).toMatchObject({ mask, passed, unchecked, indexMask })
    expect([marks.ofIndex(0), marks.ofIndex(5), marks.ofIndex(255)]).toEqual([0, five, indexMask])
  })
}

for (const mask of [0, 1, 0x1ff, 0x7ff, 0xffe00000, 0xffd00000, 0x2ff, 0xffc00000 * 2, -1, 0.5]) {
  test(`packetMarks() refuses ${mask}`, () => expect(() => packetMarks(mask)).toThrow())
}
