/** The distribution's etcdctl works with the served store as with an etcd. */

import { afterAll, expect, test } from 'bun:test'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { serveFixture } from './store-fixture.ts'

const DEADLINE_MS = 20_000
const TEST_TIMEOUT_MS = 60_000

const fixture = await serveFixture((commonName, key) => {
  return commonName === 'admin' || key.startsWith(`/own/${commonName}/`)
})
const admin = fixture.files('admin', await fixture.member('admin'))
const hostA = fixture.files('host-a', await fixture.member('host-a'))
const children: ChildProcess[] = []

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL')
  await fixture[Symbol.asyncDispose]()
})

interface Files {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

function flags({ ca, cert, key }: Files): string[] {
  return [`--endpoints=${fixture.url}`, `--cacert=${ca}`, `--cert=${cert}`, `--key=${key}`]
}

const ENV = { PATH: process.env['PATH'] ?? '', ETCDCTL_API: '3' }

interface Outcome {
  readonly stdout: string
  readonly stderr: string
  readonly status: number
}

/** Runs etcdctl beside the server, which lives in this process. */
function etcdctl(
  args: readonly string[],
  options: { input?: string; as?: Files } = {},
): Promise<Outcome> {
  const child = start(args, options.as ?? admin)
  child.stdin?.end(options.input ?? '')
  return new Promise((resolve, reject) => {
    let stdout = ''
    let stderr = ''
    child.stdout?.on('data', (piece: Buffer) => {
      stdout += piece.toString()
    })
    child.stderr?.on('data', (piece: Buffer) => {
      stderr += piece.toString()
    })
    child.once('error', reject)
    child.once('close', (status) => resolve({ stdout, stderr, status: status ?? -1 }))
  })
}

function start(args: readonly string[], as: Files): ChildProcess {
  const child = spawn('etcdctl', [...flags(as), ...args], { env: ENV, timeout: DEADLINE_MS })
  children.push(child)
  return child
}

async function lines(args: readonly string[], input?: string): Promise<readonly string[]> {
  const { stdout, stderr, status } = await etcdctl(args, input === undefined ? {} : { input })
  if (status !== 0) throw new Error(`etcdctl ${args.join(' ')}: ${stderr}`)
  return stdout.trimEnd().split('\n')
}

function check(sentence: string, body: () => Promise<void>): void {
  test(`etcdctl: ${sentence}`, body, TEST_TIMEOUT_MS)
}

check('is the version these tests were written for', async () => {
  const { stdout } = spawnSync('etcdctl', ['version'], { env: ENV, encoding: 'utf8' })
  expect(stdout).toContain('API version: 3.')
})

check('put, get, get --prefix, --print-value-only, --sort-by, del --prev-kv', async () => {
  expect(await lines(['put', '/a/1', 'one'])).toEqual(['OK'])
  expect(await lines(['put', '/a/2', 'two'])).toEqual(['OK'])
  expect(await lines(['put', '/a/1', 'eins', '--prev-kv'])).toEqual(['OK', '/a/1', 'one'])
  expect(await lines(['get', '/a/1'])).toEqual(['/a/1', 'eins'])
  expect(await lines(['get', '--prefix', '/a/'])).toEqual(['/a/1', 'eins', '/a/2', 'two'])
  const newest = ['get', '--prefix', '/a/', '--sort-by=MODIFY', '--order=DESCEND', '--limit=1']
  expect(await lines([...newest, '--print-value-only'])).toEqual(['eins'])
  expect(await lines(['get', '--prefix', '/a/', '--keys-only'])).toEqual(['/a/1', '', '/a/2'])
  expect(await lines(['get', '--from-key', '/a/2', '--print-value-only'])).toContain('two')
  expect(await lines(['del', '/a/2', '--prev-kv'])).toEqual(['1', '/a/2', 'two'])
  expect(await lines(['get', '/a/2'])).toEqual([''])
})

check('txn with both branches', async () => {
  await lines(['put', '/t', 'old'])
  const input = 'value("/t") = "old"\n\nput /t new\nget /t\n\nget /t\n\n'
  expect(await lines(['txn'], input)).toEqual(['SUCCESS', '', 'OK', '', '/t', 'new'])
  expect(await lines(['txn'], input)).toEqual(['FAILURE', '', '/t', 'new'])
})

check('watch --rev tells history, --prev-kv what was before', async () => {
  const first = await revisionAfterPut('/w/a', 'one')
  await lines(['put', '/w/a', 'two'])
  await lines(['del', '/w/a'])
  const args = ['watch', '--prefix', '/w/', `--rev=${first}`, '--prev-kv']
  const want = ['PUT', '/w/a', 'one', 'PUT', '/w/a', 'one', '/w/a', 'two']
  want.push('DELETE', '/w/a', 'two', '/w/a', '')
  expect(await firstLines(args, want.length)).toEqual(want)
})

check('watch tells what comes, and progress', async () => {
  const child = start(['watch', '-i'], admin)
  child.stdin?.write('watch /w/live\n')
  const told = collect(child)
  // the watch has begun once progress is told
  await until(() => {
    child.stdin?.write('progress\n')
    return told().includes('progress notify')
  })
  await lines(['put', '/w/live', 'x'])
  await until(() => told().includes('PUT\n/w/live\nx\n'))
  child.kill('SIGKILL')
})

check('lease grant, timetolive, keep-alive, list, revoke', async () => {
  const [granted = ''] = await lines(['lease', 'grant', '300'])
  const id = granted.split(' ')[1] ?? ''
  await lines(['put', '/l/a', 'x', `--lease=${id}`])
  expect((await lines(['lease', 'timetolive', id, '--keys']))[0]).toContain('attached keys([/l/a])')
  expect(await lines(['lease', 'keep-alive', '--once', id])).toEqual([
    `lease ${id} keepalived with TTL(300)`,
  ])
  expect(await lines(['lease', 'list'])).toContain(id)
  expect(await lines(['lease', 'revoke', id])).toEqual([`lease ${id} revoked`])
  expect(await lines(['get', '/l/a'])).toEqual([''])
  const again = await etcdctl(['lease', 'revoke', id])
  expect(again.stderr).toContain('requested lease not found')
})

check('lock runs one command at a time', async () => {
  const runs = await Promise.all([1, 2, 3].map((n) => lines(['lock', '/lock', 'echo', `n${n}`])))
  expect(runs.map(([line]) => line)).toEqual(['n1', 'n2', 'n3'])
})

check('endpoint status and health, member list, alarm list', async () => {
  expect((await lines(['endpoint', 'status']))[0]).toContain('3.4.0')
  const { stdout, stderr } = await etcdctl(['endpoint', 'health'])
  expect(stdout + stderr).toContain('is healthy')
  expect((await lines(['member', 'list']))[0]).toContain('started, first')
  expect(await lines(['alarm', 'list'])).toEqual([''])
})

check('compaction, and what it makes unreadable', async () => {
  const first = await revisionAfterPut('/c', 'one')
  const second = await revisionAfterPut('/c', 'two')
  expect(await lines(['compaction', String(second)])).toEqual([`compacted revision ${second}`])
  const old = await etcdctl(['get', '/c', `--rev=${first}`])
  expect(old.stderr).toContain('required revision has been compacted')
  const watch = await etcdctl(['watch', '/c', `--rev=${first}`])
  expect(watch.stderr).toContain('required revision has been compacted')
  const future = await etcdctl(['get', '/c', `--rev=${second + 1000}`])
  expect(future.stderr).toContain('required revision is a future revision')
})

check('a member writes its own keys only, however it tries', async () => {
  const as = hostA
  expect((await etcdctl(['put', '/own/host-a/x', 'v'], { as })).status).toBe(0)
  await lines(['put', '/own/host-b/x', 'v'])
  const [granted = ''] = await lines(['lease', 'grant', '300'])
  const id = granted.split(' ')[1] ?? ''
  await lines(['put', '/own/host-b/leased', 'v', `--lease=${id}`])
  const attempts: readonly [readonly string[], string?][] = [
    [['put', '/own/host-b/x', 'w']],
    [['del', '/own/host-b/x']],
    [['del', '--prefix', '/own/']],
    [['lease', 'revoke', id]],
    [['txn'], 'version("/own/host-a/x") > "0"\n\nput /own/host-a/x w\nput /own/host-b/x w\n\n\n'],
  ]
  for (const [args, input] of attempts) {
    const { stderr } = await etcdctl(args, input === undefined ? { as } : { as, input })
    expect(stderr).toContain('permission denied')
  }
  const kept = ['/own/host-a/x', 'v', '/own/host-b/leased', 'v', '/own/host-b/x', 'v']
  expect(await lines(['get', '--prefix', '/own/'])).toEqual(kept)
})

async function revisionAfterPut(key: string, value: string): Promise<number> {
  const [json = ''] = await lines(['put', key, value, '-w', 'json'])
  const { header } = JSON.parse(json) as { header: { revision: number } }
  return header.revision
}

function collect(child: ChildProcess): () => string {
  let text = ''
  child.stdout?.on('data', (piece: Buffer) => {
    text += piece.toString()
  })
  return () => text
}

/** The first lines of a command that does not end by itself. */
async function firstLines(args: readonly string[], count: number): Promise<readonly string[]> {
  const child = start(args, admin)
  const told = collect(child)
  await until(() => told().split('\n').length > count)
  child.kill('SIGKILL')
  return told().split('\n').slice(0, count)
}

async function until(condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + DEADLINE_MS
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error('The condition did not come about in time')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
