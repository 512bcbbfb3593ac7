import { test } from 'bun:test'
import assert from 'node:assert/strict'
import {
  formatAge,
  formatBytes,
  formatCount,
  formatDuration,
  parseBytes,
  parseDuration,
} from './units.ts'

for (const { text, want } of [
  { text: '30s', want: 30_000 },
  { text: '250ms', want: 250 },
  { text: '1h30m', want: 5_400_000 },
  { text: '1.5h', want: 5_400_000 },
  { text: '2d', want: 172_800_000 },
  { text: '60', want: 60_000 }, // bare: the unit the caller names
  { text: '0', want: 0 },
  { text: '30s1h', want: undefined }, // smaller unit first
  { text: '1m1m', want: undefined },
  { text: '-5s', want: undefined },
  { text: '5 s', want: undefined },
  { text: '5S', want: undefined },
  { text: '0.1ms', want: undefined }, // not a whole number of milliseconds
  { text: '', want: undefined },
  { text: '99999999999999999d', want: undefined },
]) {
  test(`parseDuration() of "${text}" is ${want ?? 'refused'}`, () =>
    assert.equal(parseDuration(text, 's'), want))
}

for (const { ms, want } of [
  { ms: 0, want: '0s' },
  { ms: 30_000, want: '30s' },
  { ms: 90_000, want: '1m30s' },
  { ms: 1500, want: '1500ms' },
  { ms: 90_000_000, want: '1d1h' },
]) {
  test(`formatDuration() of ${ms} is ${want} and reads back`, () => {
    assert.equal(formatDuration(ms), want)
    assert.equal(parseDuration(want, 'ms'), ms)
  })
}

for (const { ms, want } of [
  { ms: -5, want: '0s' },
  { ms: 119_999, want: '119s' },
  { ms: 120_000, want: '2m' },
  { ms: 7_200_000, want: '2h' },
  { ms: 7_260_000, want: '2h1m' },
  { ms: 40_000_000, want: '11h' },
  { ms: 172_800_000, want: '2d' },
]) {
  test(`formatAge() of ${ms} is ${want}`, () => assert.equal(formatAge(ms), want))
}

for (const { text, want } of [
  { text: '1500', want: 1500 },
  { text: '64Ki', want: 65_536 },
  { text: '64KiB', want: 65_536 },
  { text: '1M', want: 1_000_000 },
  { text: '1.5G', want: 1_500_000_000 },
  { text: '1.5', want: undefined },
  { text: '1m', want: undefined },
  { text: '1 M', want: undefined },
]) {
  test(`parseBytes() of "${text}" is ${want ?? 'refused'}`, () =>
    assert.equal(parseBytes(text), want))
}

for (const { bytes, want } of [
  { bytes: 0, want: '0B' },
  { bytes: 1023, want: '1023B' },
  { bytes: 1024, want: '1KiB' },
  { bytes: 1536, want: '1.5KiB' },
  { bytes: 12 * 1024 * 1024, want: '12MiB' },
]) {
  test(`formatBytes() of ${bytes} is ${want}`, () => assert.equal(formatBytes(bytes), want))
}

test('formatCount() groups digits by three', () => {
  assert.equal(formatCount(999), '999')
  assert.equal(formatCount(1_234_567), '1,234,567')
})
