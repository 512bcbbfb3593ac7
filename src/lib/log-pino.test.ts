import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { NetworkError } from './errors.ts'
import { createLog, type LogOptions } from './log-pino.ts'

function setUp(options: Partial<LogOptions> = {}) {
  const lines: string[] = []
  const log = createLog({
    level: 'info',
    style: 'json',
    priorities: false,
    write: (line) => lines.push(line),
    ...options,
  })
  return { log, lines }
}

test('a JSON line has time, level, message, room and the fields', () => {
  const { log, lines } = setUp()
  log.child('agent').info('endpoint settled', { endpoint: 'ep1', durationMs: 3 })
  const { time, ...rest } = JSON.parse(lines[0] ?? '')
  assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  assert.deepEqual(rest, {
    level: 'info',
    room: 'agent',
    message: 'endpoint settled',
    endpoint: 'ep1',
    durationMs: 3,
  })
  assert.equal(lines[0]?.endsWith('\n'), true)
})

test('an error is its code, its message and its causes', () => {
  const { log, lines } = setUp()
  const cause = new Error('inner', { cause: new Error('innermost') })
  log.error('publishing failed', { error: new NetworkError('unavailable', 'Cannot', { cause }) })
  assert.deepEqual(JSON.parse(lines[0] ?? '').error, {
    code: 'unavailable',
    message: 'Cannot',
    causes: ['inner', 'innermost'],
  })
})

test('an error that is its own cause ends', () => {
  const { log, lines } = setUp()
  const error = new Error('loop')
  error.cause = error
  log.error('odd', { error })
  assert.equal(JSON.parse(lines[0] ?? '').error.causes.length, 5)
})

test('text is one short line', () => {
  const { log, lines } = setUp({ style: 'text', priorities: true })
  log.child('api').warn('slow', { path: '/v1/x', n: 2 })
  assert.match(lines[0] ?? '', /^<4>\d\d:\d\d:\d\d\.\d{3} warn {2}api: slow path=\/v1\/x n=2\n$/)
})

test('setLevel() also reaches children made before', () => {
  const { log, lines } = setUp()
  const child = log.child('api')
  child.debug('unheard')
  log.setLevel('debug')
  child.debug('heard')
  log.setLevel('error')
  child.warn('unheard')
  assert.deepEqual(
    lines.map((line) => JSON.parse(line).message),
    ['heard'],
  )
})
