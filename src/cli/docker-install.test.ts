/** `carrick docker install` and `uninstall` on the files below a directory. */

import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { planInstall, planUninstall } from './docker-install.ts'
import { unitText } from './docker-units.ts'
import { type CliScene, startCli } from './testing.ts'
import { filesBelow } from './testing-files.ts'

const ENGINE = 'etc/docker/daemon.json'
const BACKUP = 'etc/docker/daemon.json.before-carrick'
const UNITS = 'etc/systemd/system'
const DNS = ['169.254.77.53']

let cli: CliScene
let root = ''
const { put, read, all: files } = filesBelow(() => root)
beforeEach(async () => {
  cli = await startCli()
  root = mkdtempSync(join(tmpdir(), 'ckt-install-'))
})
afterEach(async () => {
  await cli[Symbol.asyncDispose]()
  rmSync(root, { recursive: true, force: true })
})

function run(verb: 'install' | 'uninstall', more = '') {
  const executable = verb === 'install' ? '--executable /opt/carrick' : ''
  return cli.run(`docker ${verb} --root ${root} ${executable} ${more}`)
}

test('install writes the units and the resolver, and uninstall takes exactly that back', async () => {
  put('etc/other', 'kept')
  const before = files()
  const installed = await run('install')
  assert.equal(installed.exit, 0, installed.err)
  assert.deepEqual(Object.keys(files()), [
    ENGINE,
    'etc/other',
    `${UNITS}/carrick-docker.socket`,
    `${UNITS}/carrick.service`,
    `${UNITS}/carrick.socket`,
  ])
  assert.deepEqual(JSON.parse(read(ENGINE)), { dns: DNS })
  assert.match(read(`${UNITS}/carrick.service`), /^ExecStart=\/opt\/carrick daemon$/m)
  assert.match(installed.err, /^note: the engine reads "dns" when it starts/m)

  const once = files()
  const again = await run('install')
  assert.equal(again.out, 'everything is installed already\n')
  assert.deepEqual(files(), once)

  assert.equal((await run('uninstall')).exit, 0)
  assert.deepEqual(files(), before)
  assert.equal((await run('uninstall')).out, 'nothing is installed\n')
})

test('the engine’s other settings stay, its file keeps its mode and comes back byte by byte', async () => {
  const text =
    '{\n    "live-restore": true,\n    "dns": ["192.0.2.53"],\n    "x": {"b": [1]}\n}\n\n'
  put(ENGINE, text)
  const mode = statSync(join(root, ENGINE)).mode
  await run('install')
  assert.equal(read(BACKUP), text)
  assert.deepEqual(JSON.parse(read(ENGINE)), {
    'live-restore': true,
    dns: [...DNS, '192.0.2.53'],
    x: { b: [1] },
  })
  assert.match(read(ENGINE), /^ {4}"live-restore"/m)
  assert.equal(statSync(join(root, ENGINE)).mode, mode)
  await run('uninstall')
  assert.deepEqual(files(), { [ENGINE]: text })
})

test('what was changed between install and uninstall stays changed', async () => {
  put(ENGINE, '{"debug": true}')
  await run('install')
  put(ENGINE, JSON.stringify({ debug: false, dns: [...DNS, '192.0.2.1'] }))
  await run('uninstall')
  assert.deepEqual(Object.keys(files()), [ENGINE])
  assert.deepEqual(JSON.parse(read(ENGINE)), { debug: false, dns: ['192.0.2.1'] })
})

test('an engine’s file that is not understood is refused before anything is written', async () => {
  for (const [text, words] of [
    ['{"dns": ["192.0.2.1",]', /not JSON/],
    ['[]', /no JSON object/],
    ['{"dns": "192.0.2.1"}', /"dns" is no list/],
  ] as const) {
    put(ENGINE, text)
    const { exit, err } = await run('install')
    assert.equal(exit, 2)
    assert.match(err, words)
    assert.match(err, /daemon\.json/)
    assert.deepEqual(files(), { [ENGINE]: text })
  }
})

test('units of a package stay, units of others are not overwritten', async () => {
  put('lib/systemd/system/carrick.service', 'packaged')
  put('lib/systemd/system/carrick.socket', 'packaged')
  put('lib/systemd/system/carrick-docker.socket', 'packaged')
  await run('install')
  assert.equal(existsSync(join(root, UNITS)), false)
  await run('uninstall')

  rmSync(join(root, 'lib'), { recursive: true })
  put(`${UNITS}/carrick.service`, '[Service]\n')
  const { exit, err } = await run('install')
  assert.equal(exit, 4)
  assert.match(err, /another's unit is there\nhint: remove /)
  assert.equal(existsSync(join(root, ENGINE)), false)
})

test('--dry-run tells the same and does nothing', async () => {
  const { out, exit } = await run('install', '--dry-run')
  assert.equal(exit, 0)
  assert.equal(out.split('\n').filter((line) => line.startsWith('would write ')).length, 4)
  assert.deepEqual(files(), {})
  await run('install')
  const there = files()
  assert.match((await run('uninstall', '--dry-run')).out, /^would remove .*daemon\.json/m)
  assert.deepEqual(files(), there)
})

test('where the service manager runs it hears of the units, after they are written', () => {
  const place = { root, manager: true }
  const runs = (plan: ReturnType<typeof planInstall>) =>
    plan.changes.map((change) => (change.kind === 'run' ? change.argv.join(' ') : change.kind))
  assert.deepEqual(runs(planInstall(place, '/usr/bin/carrick', false)), [
    ...['write', 'write', 'write'],
    'systemctl daemon-reload',
    'systemctl enable --now carrick.socket carrick-docker.socket carrick.service',
    'write',
  ])
  put(`${UNITS}/carrick.service`, unitText('carrick.service', '/usr/bin/carrick'))
  assert.deepEqual(runs(planUninstall(place)), [
    'systemctl disable --now carrick.service',
    'remove',
    'systemctl daemon-reload',
  ])
})

test('an engine started with --dns is told of, since it would not start again', () => {
  assert.throws(() => planInstall({ root, manager: false }, '/usr/bin/carrick', true), {
    code: 'conflict',
  })
})

test('a program from its sources is no program for units', async () => {
  const { exit, err } = await cli.run(`docker install --root ${root}`)
  assert.equal(exit, 2)
  assert.match(err, /--executable/)
  assert.deepEqual(files(), {})
})

test('paths that a unit would read otherwise are written so that it does not', () => {
  const line = (path: string) => /^ExecStart=.*$/m.exec(unitText('carrick.service', path))?.[0]
  assert.equal(line('/opt/a b/100%/$HOME'), 'ExecStart="/opt/a b/100%%/$$HOME" daemon')
  assert.equal(line('/usr/local/bin/carrick'), 'ExecStart=/usr/local/bin/carrick daemon')
})
