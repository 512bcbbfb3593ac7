/** The command line as a process: what it loads, its pipes, its help. */

import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { Io } from './io.ts'
import { createProgram } from './main.ts'

let directory = ''
let script = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ckt-cli-'))
  script = join(directory, 'carrick.ts')
  const main = JSON.stringify(join(import.meta.dirname, 'main.ts'))
  writeFileSync(
    script,
    `import { runCliHere } from ${main}
process.exitCode = await runCliHere(process.argv.slice(2), async () => 0)
if (process.env.CKT_LOADED) console.error(Object.keys(require.cache).join('\\n'))
`,
  )
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

async function run(command: string, env: Record<string, string> = {}) {
  const child = Bun.spawn(['sh', '-c', command], {
    env: { ...process.env, ...env, BUN: process.execPath, CARRICK: script },
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [out, err, exit] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ])
  return { out, err, exit }
}

test('a client command loads neither the daemon nor its packages', async () => {
  const { err } = await run('"$BUN" "$CARRICK" network ls --socket /nonexistent', {
    CKT_LOADED: '1',
  })
  assert.match(err, /commander/)
  assert.doesNotMatch(err, /node_modules\/(zod|hono|pino|yaml)\/|src\/(daemon|kernel|store|lab)/)
})

test('a reader that goes away ends the command with 141, in silence', async () => {
  const { err, out } = await run('{ "$BUN" "$CARRICK" --help; echo "exit $?" >&2; } | true')
  assert.deepEqual({ err, out }, { err: 'exit 141\n', out: '' })
})

test('help goes to standard output, and to standard error when it was not asked for', async () => {
  const asked = await run('"$BUN" "$CARRICK" --help')
  assert.equal(asked.exit, 0)
  assert.match(asked.out, /^Usage: carrick /)
  const shown = await run('"$BUN" "$CARRICK"')
  assert.deepEqual({ exit: shown.exit, out: shown.out }, { exit: 2, out: '' })
  assert.match(shown.err, /^Usage: carrick /)
})

test('daemon --check-config prints each setting with its source', async () => {
  const line = '"$BUN" "$CARRICK" daemon --check-config --no-headers --root'
  const { out, exit } = await run(`${line} "$ROOT" --vxlan-port 4790`, {
    ROOT: directory,
    CARRICK_LOG_LEVEL: 'debug',
    STATE_DIRECTORY: '',
  })
  assert.equal(exit, 0)
  assert.match(out, /^vxlanPort +4790 +flag --vxlan-port$/m)
  assert.match(out, /^logLevel +debug +environment CARRICK_LOG_LEVEL$/m)
  assert.ok(out.includes(`${directory}/var/lib/carrick`))
})

test('every command has one sentence and two examples', async () => {
  const nothing = (): never => {
    throw new Error('Help uses nothing of the process')
  }
  const io = { env: {}, writeOut: nothing, readText: nothing, now: nothing } as unknown as Io
  const help: string[] = []
  const program = await createProgram({ io, runDaemon: nothing }, ['daemon'], (text) =>
    help.push(text),
  )
  const visit = (command: Command): void => {
    assert.match(command.description(), /^[A-Z][^.]*( [^.]*)?\.$/, command.name())
    help.length = 0
    command.outputHelp()
    const examples =
      help.join('').split('Examples:\n')[1]?.split('\n\n')[0]?.trim().split('\n') ?? []
    assert.ok(examples.length >= 2, `carrick ${command.name()} has ${examples.length} examples`)
    for (const example of examples) assert.match(example, /carrick /)
    for (const inner of command.commands) visit(inner)
  }
  visit(program)
})
