import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { isNetworkError } from '../lib/errors.ts'
import { parseRate, rateText } from './rates.ts'

for (const [text, bits, shown] of [
  ['8M', 8e6, '8M'],
  ['1.5G', 1.5e9, '1.5G'],
  ['512k', 512e3, '512k'],
  ['512Kbit', 512e3, '512k'],
  ['10Mbps', 1e7, '10M'],
  ['1000000', 1e6, '1M'],
  ['8001', 8001, '8001'],
  ['1.25M', 1.25e6, '1250k'],
] as const) {
  test(`the rate ${text}`, () => {
    assert.equal(parseRate(text, '--egress-rate'), bits)
    assert.equal(rateText(bits), shown)
  })
}

for (const text of ['', 'M', '-8M', '8MB', '8 M', '0', '1e6', '8m', '0.0001k']) {
  test(`"${text}" is no rate`, () => {
    const rejects = (error: unknown) =>
      isNetworkError(error, 'invalid') && error.message.includes('--egress-rate')
    assert.throws(() => parseRate(text, '--egress-rate'), rejects)
  })
}
