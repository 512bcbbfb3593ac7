import { expect, test } from 'bun:test'
import { systemClock } from './lib/clock.ts'
import { type Log, type LogFields, silentLog } from './lib/log.ts'
import { SlowStart } from './slow-start.ts'

test('a start that takes long is told of, with what it waits for, until it is over', async () => {
  const told: LogFields[] = []
  const heard = Promise.withResolvers<void>()
  const log: Log = {
    ...silentLog,
    warn: (_message, fields = {}) => {
      told.push(fields)
      if (told.length === 2) heard.resolve()
    },
  }
  const start = new SlowStart(systemClock(), log, 1)
  start.at('open the kernel')
  await heard.promise
  start[Symbol.dispose]()
  expect(told.map(({ step }) => step)).toEqual(['open the kernel', 'open the kernel'])
})
