/** The made-up cluster of the attach benchmark, as Debian's etcdctl sees it from another host. */

import { afterEach, setDefaultTimeout, test } from 'bun:test'
import assert from 'node:assert/strict'
import { RemoteWorld } from '../../bench/remote-world.ts'
import { createLab, type Lab, removeLab } from '../../src/lab/lab.ts'
import { keys } from '../../src/model/keys.ts'

const NAME = `ckt-world-${process.pid}`
setDefaultTimeout(30_000)

afterEach(() => removeLab(NAME))

const network = {
  schema: 1,
  id: 'n1',
  name: 'bench',
  vni: 7,
  prefixes: ['10.96.0.0/12', 'fd96::/48'],
  gateways: ['10.96.0.1', 'fd96::1'],
  carrier: 'vxlan',
  labels: {},
  createdAt: '2026-01-01T00:00:00.000Z',
}

function etcdctl(lab: Lab, argv: readonly string[]) {
  const command = ['etcdctl', '--endpoints', 'http://192.0.2.2:2379', ...argv]
  return lab.run('h1', ['env', 'ETCDCTL_API=3', ...command])
}

test('RemoteWorld fills a store that hosts can reach, and changes what is in it', async () => {
  await using lab = await createLab({ name: NAME, hosts: 2, topology: 'pair' })
  const world = await RemoteWorld.start(lab, 'h2')
  assert.equal(world.storeUrl, 'etcd://192.0.2.2:2379')
  const request = { ask: 'fill', networkId: network.id, hosts: 3, endpointsPerHost: 50 } as const
  await assert.rejects(() => world.ask(request), /No network n1/)
  const put = await etcdctl(lab, ['put', keys.network(network.id), JSON.stringify(network)])
  assert.equal(put.stdout, 'OK\n', put.stderr)
  await world.ask(request)
  const listed = await etcdctl(lab, ['get', '--prefix', '--keys-only', keys.endpoints(network.id)])
  assert.equal(listed.stdout.split('\n').filter((line) => line !== '').length, 150)

  const prefix = keys.endpoints(network.id)
  const watch = ['etcdctl', '--endpoints', 'http://192.0.2.2:2379', 'watch', '--prefix', prefix]
  const watcher = lab.spawn('h1', ['env', 'ETCDCTL_API=3', ...watch])
  const changed = new Promise<string>((resolve) => {
    let text = ''
    watcher.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      if (text.split('\n').length > 2) resolve(text)
    })
  })
  await world.ask({ ask: 'churn', changesPerSecond: 20 })
  assert.match(await changed, /^PUT\n\/carrick\/endpoints\/n1\/benchhost/)
  await world.ask({ ask: 'churn', changesPerSecond: 0 })
})
