import { afterAll, expect, test } from 'bun:test'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Log } from '../lib/log.ts'
import { parseResolvConf, Upstreams } from './upstreams.ts'

const directory = mkdtempSync(join(tmpdir(), `ckt-dns-${process.pid}-`))
afterAll(() => rmSync(directory, { recursive: true }))

const log: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => log }

for (const { what, text, want } of [
  {
    what: 'addresses of both families',
    text: 'nameserver 192.0.2.1\nnameserver 2001:db8::1\n',
    want: ['192.0.2.1', '2001:db8::1'],
  },
  {
    what: 'comments and other lines',
    text: '# nameserver 192.0.2.9\nsearch example.org\noptions ndots:2\nnameserver\t192.0.2.1 # first',
    want: ['192.0.2.1'],
  },
  { what: 'a zone', text: 'nameserver fe80::1%eth0', want: ['fe80::1%eth0'] },
  {
    what: 'what is no address',
    text: 'nameserver dns.example.org\nnameserver 1.2.3\nnameservers 192.0.2.1',
    want: [],
  },
  {
    what: 'more than three',
    text: [1, 2, 3, 4].map((i) => `nameserver 192.0.2.${i}`).join('\n'),
    want: ['192.0.2.1', '192.0.2.2', '192.0.2.3'],
  },
  { what: 'one twice', text: 'nameserver 192.0.2.1\nnameserver 192.0.2.1', want: ['192.0.2.1'] },
  { what: 'nothing', text: '', want: [] },
]) {
  test(`parseResolvConf() of ${what}`, () => expect(parseResolvConf(text)).toEqual(want))
}

test('the file is followed, and our own addresses are left out', async () => {
  const file = join(directory, 'resolv.conf')
  let nowMs = 0
  const upstreams = new Upstreams({
    servers: [],
    file,
    own: ['169.254.77.53'],
    nowMs: () => nowMs,
    log,
  })
  expect(await upstreams.list()).toEqual([])
  writeFileSync(`${file}.new`, 'nameserver 169.254.77.53\nnameserver 192.0.2.1\n')
  renameSync(`${file}.new`, file)
  nowMs = 999
  expect(await upstreams.list()).toEqual([])
  nowMs = 2_000
  expect(await upstreams.list()).toEqual(['192.0.2.1'])
  writeFileSync(`${file}.new`, 'nameserver 192.0.2.22\n')
  renameSync(`${file}.new`, file)
  nowMs = 4_000
  expect(await upstreams.list()).toEqual(['192.0.2.22'])
  rmSync(file)
  nowMs = 6_000
  expect(await upstreams.list()).toEqual(['192.0.2.22'])
})

test('a setting is asked instead of the file', async () => {
  const servers = ['192.0.2.7', '169.254.77.53']
  const upstreams = new Upstreams({
    servers,
    file: '/nowhere',
    own: ['169.254.77.53'],
    nowMs: () => 0,
    log,
  })
  expect(await upstreams.list()).toEqual(['192.0.2.7'])
})
