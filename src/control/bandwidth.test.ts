import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { checkBandwidth } from './bandwidth.ts'

for (const { what, bandwidth, want } of [
  { what: 'nothing', bandwidth: undefined, want: [] },
  {
    what: 'the least and the most',
    bandwidth: {
      toContainer: { bitsPerSecond: 8_000, burstBits: 1 },
      fromContainer: { bitsPerSecond: 1e15 },
    },
    want: [],
  },
  {
    what: 'less and more',
    bandwidth: { toContainer: { bitsPerSecond: 7_999 }, fromContainer: { bitsPerSecond: 2e15 } },
    want: ['/bandwidth/toContainer/bitsPerSecond', '/bandwidth/fromContainer/bitsPerSecond'],
  },
  {
    what: 'a burst of nothing, and half a bit',
    bandwidth: {
      toContainer: { bitsPerSecond: 8_000, burstBits: 0 },
      fromContainer: { bitsPerSecond: 8_000.5 },
    },
    want: ['/bandwidth/toContainer/burstBits', '/bandwidth/fromContainer/bitsPerSecond'],
  },
]) {
  test(`checkBandwidth() of ${what}`, () => {
    const wrong: string[] = []
    checkBandwidth(bandwidth, '/bandwidth', (pointer) => wrong.push(pointer))
    assert.deepEqual(wrong, want)
  })
}
