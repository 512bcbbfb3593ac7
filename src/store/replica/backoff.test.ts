import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { backoffMs } from './backoff.ts'

const lowest = (count: number): Uint8Array => new Uint8Array(count)
const highest = (count: number): Uint8Array => new Uint8Array(count).fill(255)

for (const { failures, from, to } of [
  { failures: 1, from: 80, to: 120 },
  { failures: 2, from: 160, to: 240 },
  { failures: 5, from: 1280, to: 1920 },
  { failures: 9, from: 20_480, to: 30_720 },
  { failures: 10, from: 24_000, to: 36_000 },
  { failures: 2000, from: 24_000, to: 36_000 },
]) {
  test(`after ${failures} failures the pause is ${from} to ${to} ms`, () => {
    assert.equal(backoffMs(failures, lowest), from)
    assert.equal(backoffMs(failures, highest), to)
  })
}
