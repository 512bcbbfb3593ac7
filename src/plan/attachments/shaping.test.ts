import { expect, test } from 'bun:test'
import { planShaping } from './shaping.ts'

const MEGABIT = 1_000_000

for (const { what, limit, mtuBytes = 1450, want } of [
  {
    what: 'a slow one lets some packets pass at once, and cuts super-packets',
    limit: { bitsPerSecond: MEGABIT },
    want: { bytesPerSecond: 125_000, burstBytes: 16_384, queueBytes: 22_634 },
  },
  {
    what: 'a burst that was asked for is kept, and does not make the queue long',
    limit: { bitsPerSecond: 8 * MEGABIT, burstBits: 8 * MEGABIT },
    want: { bytesPerSecond: 1_000_000, burstBytes: 1_000_000, queueBytes: 181_072 },
  },
  {
    what: 'a burst smaller than a packet would let nothing pass',
    limit: { bitsPerSecond: 8 * MEGABIT, burstBits: 8 },
    mtuBytes: 9000,
    want: { bytesPerSecond: 1_000_000, burstBytes: 18_036, queueBytes: 68_036 },
  },
  {
    what: 'a fast one survives late timers',
    limit: { bitsPerSecond: 1000 * MEGABIT },
    want: { bytesPerSecond: 125_000_000, burstBytes: 2_500_000, queueBytes: 6_381_072 },
  },
  {
    what: 'the largest numbers stay within what the kernel takes',
    limit: { bitsPerSecond: 1e16, burstBits: Number.MAX_SAFE_INTEGER },
    want: {
      bytesPerSecond: 125_000_000_000_000,
      burstBytes: 0xffff_ffff,
      queueBytes: 0xffff_ffff,
    },
  },
  {
    what: 'the smallest too, and no bucket takes longer to fill than the kernel can tell',
    limit: { bitsPerSecond: 1, burstBits: 8e9 },
    mtuBytes: 65_535,
    want: { bytesPerSecond: 1_000, burstBytes: 240_000, queueBytes: 131_122 },
  },
]) {
  test(`planShaping(): ${what}`, () => {
    expect(planShaping(limit, mtuBytes)).toEqual(want)
  })
}
