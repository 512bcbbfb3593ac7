import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { ERROR_CODES, NetworkError } from '../../lib/errors.ts'
import { CNI_CODE, cniCodeOf, cniError, failureOf } from './errors.ts'

test('cniCodeOf() has a code for every error of ours', () => {
  const codes = ERROR_CODES.map((code) => `${code} ${cniCodeOf(new NetworkError(code, 'x'))}`)
  assert.deepEqual(codes, [
    'invalid 7',
    'not-found 7',
    'already-exists 101',
    'conflict 101',
    'exhausted 102',
    'unauthenticated 103',
    'forbidden 103',
    'unsupported 2',
    'unavailable 11',
    'timeout 11',
    'kernel 104',
  ])
})

test('cniCodeOf() gives back the exact code of an error made with one', () => {
  for (const code of Object.values(CNI_CODE)) assert.equal(cniCodeOf(cniError(code, 'x')), code)
})

test('failureOf() tells what happened and what to do', () => {
  const error = new NetworkError('invalid', 'Cannot attach: no network "blue"', {
    hint: 'carrick network create blue',
    fields: [{ pointer: '/network', message: 'there is none' }],
  })
  assert.deepEqual(failureOf(error, 'ADD', '1.0.0'), {
    cniVersion: '1.0.0',
    code: 7,
    msg: 'Cannot attach: no network "blue"',
    details: 'there is none; carrick network create blue',
  })
  assert.deepEqual(failureOf(new NetworkError('timeout', 'Cannot wait'), 'DEL', '0.4.0'), {
    cniVersion: '0.4.0',
    code: 11,
    msg: 'Cannot wait',
    details: 'carrick status   # tells what the daemon is at',
  })
  const { details } = failureOf(new NetworkError('kernel', 'Cannot open: EACCES'), 'ADD', '1.0.0')
  assert.match(details ?? '', /journalctl/)
})

test('failureOf() keeps what nobody foresaw to itself', () => {
  const { code, msg, details } = failureOf(new Error('secret'), 'DEL', '1.0.0')
  assert.equal(code, 104)
  assert.match(msg, /unexpectedly in DEL$/)
  assert.doesNotMatch(`${msg} ${details}`, /secret/)
})

test('failureOf() has no words that a runtime takes for a success', () => {
  const error = new NetworkError('kernel', 'Cannot open: No such file or directory (Not found)', {
    hint: 'network not found',
  })
  const { msg, details } = failureOf(error, 'DEL', '1.0.0')
  assert.deepEqual(
    { msg, details },
    { msg: 'Cannot open: ENOENT (missing)', details: 'network missing' },
  )
})
