import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { isNetworkError } from '../../lib/errors.ts'
import { PLUGINS } from './delegate-process.ts'

/** For a script to write a word, also where everything is slow. */
const ENOUGH_MS = 2_000
let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), `ckt-plugin-${process.pid}-`))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

/** A plug-in that is this script. */
function plugin(script: string, mode = 0o755): string {
  const file = join(directory, 'plug')
  writeFileSync(file, `#!/bin/sh\n${script}\n`, { mode })
  return file
}

const run = (file: string, timeoutMs = 20_000) =>
  PLUGINS.run({ file, environment: { CNI_COMMAND: 'ADD' }, stdin: '{"a":1}', timeoutMs })

test('a plug-in has the call’s variables and standard input, and its output is taken', async () => {
  const file = plugin('echo "$CNI_COMMAND $(cat)"; echo why >&2; exit 3')
  assert.deepEqual(await run(file), { exit: 3, stdout: 'ADD {"a":1}\n', stderr: 'why\n' })
})

test('one that hangs is ended in time, with all that holds its output', async () => {
  const pids = join(directory, 'pids')
  const file = plugin(`sleep 600 & echo $! > ${pids}; echo half; sleep 600`)
  assert.deepEqual(await run(file, ENOUGH_MS), { exit: undefined, stdout: 'half\n', stderr: '' })
  const pid = Number(readFileSync(pids, 'utf8'))
  const deadline = Date.now() + 20_000
  while (isRunning(pid)) {
    assert.ok(Date.now() < deadline, 'what it started still runs')
    await pause(10)
  }
})

test('one that ends, but leaves somebody with its output, has its say when the time is over', async () => {
  const pids = join(directory, 'pids')
  const file = plugin(`setsid sleep 600 & echo $! > ${pids}; echo whole`)
  try {
    assert.deepEqual(await run(file, ENOUGH_MS), { exit: 0, stdout: 'whole\n', stderr: '' })
  } finally {
    process.kill(Number(readFileSync(pids, 'utf8')), 'SIGKILL')
  }
})

test('what cannot be started is told, with the file', async () => {
  await assert.rejects(run(plugin('true', 0o644)), (error) => {
    assert.ok(isNetworkError(error))
    assert.match(error.message, /Cannot run .*plug: /)
    assert.match(error.hint ?? '', /install/)
    return true
  })
})

test('only what root alone can have put there is found', () => {
  const file = plugin('true')
  assert.equal(PLUGINS.find('plug', ['relative', directory]).file, file)
  assert.throws(() => PLUGINS.find('other', [directory]), /none of the directories/)
  chmodSync(file, 0o777)
  assert.throws(() => PLUGINS.find('plug', [directory]), /others than root may change it/)
})

/** A process that has ended but was not waited for yet runs no more. */
function isRunning(pid: number): boolean {
  const path = `/proc/${pid}/stat`
  return existsSync(path) && !/\) Z /.test(readFileSync(path, 'utf8'))
}
