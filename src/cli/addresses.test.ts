/** `carrick reserve`, `carrick ipam` and `--force` against a real API over a real socket. */

import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { prefix } from '../net/testing.ts'
import { type CliScene, startCli } from './testing.ts'

let cli: CliScene
beforeEach(async () => {
  cli = await startCli()
})
afterEach(() => cli[Symbol.asyncDispose]())

test('reserve keeps addresses, lists and gives them back, with and without its verb', async () => {
  const made = await cli.run('reserve blue web 10.80.0.10 fd80::10')
  assert.deepEqual(made, {
    exit: 0,
    err: '',
    out: `NETWORK   NAME   ADDRESSES             HOST   AGE
blue      web    10.80.0.10,fd80::10   -       3m
`,
  })
  assert.equal((await cli.run('reserve add blue db 10.80.0.11')).exit, 0)
  assert.equal((await cli.run('reserve ls -q')).out, 'blue/db\nblue/web\n')
  assert.equal((await cli.run('reserve ls blue -q --filter name=db')).out, 'blue/db\n')
  assert.equal((await cli.run('reserve ls nope')).exit, 3)
  assert.equal((await cli.run('reserve rm blue web db')).out, 'web\ndb\n')
  assert.equal((await cli.run('reserve rm blue web')).exit, 3)
  assert.equal((await cli.run('reserve ls -q')).out, '')
})

for (const line of ['reserve blue', 'reserve blue web', 'reserve rm blue', 'reserve']) {
  test(`"${line}" is wrong use`, async () => {
    assert.equal((await cli.run(line)).exit, 2)
  })
}

test('ipam suggest prints one range a line', async () => {
  assert.equal((await cli.run('ipam suggest -q')).out, '10.64.0.0/16\n')
  assert.equal(
    (await cli.run('ipam suggest --size /16 --count 2 -q')).out,
    '10.64.0.0/16\n10.65.0.0/16\n',
  )
  const { out } = await cli.run('ipam suggest -6')
  assert.equal(
    out,
    'PREFIX                      ADDRESSES\nfd00::/48   1208925819614629174706176\n',
  )
  assert.equal((await cli.run('ipam suggest --size x')).exit, 2)
})

test('ipam show tells what each host has of a network', async () => {
  const { out } = await cli.run('ipam show blue')
  assert.equal(
    out,
    `NETWORK   PREFIX             HOLDER      USABLE   USED   RESERVED    FREE
blue      10.80.0.0/16       all hosts    65533      1          2   65530
blue      10.80.255.192/26   h1              63      1          0      62
`,
  )
  const { metadata, status } = JSON.parse((await cli.run('ipam show blue -o json')).out)
  assert.deepEqual([metadata.name, status.subnets[0].free], ['blue', '65530'])
  assert.equal((await cli.run('ipam show nope')).exit, 3)
})

test('ipam check ends with 7 when something is left, and with 0 when all was repaired', async () => {
  const found = await cli.run('ipam check')
  assert.equal(found.exit, 7)
  assert.match(found.out, /name-without-network +left +the name old stands for network gone/)
  const repaired = await cli.run('ipam check --repair')
  assert.equal(repaired.exit, 0)
  assert.match(repaired.out, /repaired/)
})

test('network get says below the table who forced it', async () => {
  const [blue] = cli.control.networks
  assert.ok(blue)
  const overlap = { subnet: prefix('10.80.0.0/16'), other: prefix('10.80.5.0/24') }
  cli.control.networks[0] = {
    ...blue,
    forced: {
      ...{ uid: 1000, user: 'ada', at: '2026-01-02T00:00:00.000Z' },
      overlaps: [{ ...overlap, host: 'h2', device: 'eth1' }],
    },
  }
  const { out } = await cli.run('network get blue')
  assert.equal(
    out.split('\n')[2],
    'blue: forced by ada (uid 1000) at 2026-01-02T00:00:00.000Z: ' +
      '10.80.0.0/16 overlaps route 10.80.5.0/24 of host h2 (device eth1)',
  )
  const { status } = JSON.parse((await cli.run('network get blue -o json')).out)
  assert.equal(status.forced.uid, 1000)
})
