/** Addresses that belong to a name: reserved for every host, or remembered by the last one. */

import assert from 'node:assert/strict'
import {
  assertRefused,
  clusterTest,
  createNetwork,
  knows,
  sharedCluster,
  until,
} from './harness.ts'
import { carries } from './traffic.ts'

const STATE = 4

const withTwoHosts = sharedCluster({ hosts: 2 })

withTwoHosts('a recreated container gets its address again, on whichever host', async (cluster) => {
  await createNetwork(cluster, 'shop', ['--subnet', '10.81.0.0/16', '--subnet', 'fd81::/48'])
  await cluster.carrick('h1', 'reserve', 'shop', 'web', '10.81.0.10', 'fd81::10')
  const client = await cluster.attach('shop', 'h1', 'client')
  for (const [i, host] of ['h1', 'h2', 'h2', 'h1'].entries()) {
    await until(`${host} knows the reservation`, async () => {
      return (await cluster.carrick(host, 'reserve', 'ls', '-q')).includes('shop/web')
    })
    const container = await cluster.lab.container(host, `web${i}`)
    const named = { ...container, name: 'web' }
    const web = await cluster.attachContainer('shop', named)
    assert.deepEqual(web.addresses, ['10.81.0.10', 'fd81::10'])
    await knows(cluster, 'h1', 'web')
    await knows(cluster, 'h2', 'client', 'web')
    assert.ok(carries(client, web))
    const listed = await cluster.carrick('h1', 'reserve', 'ls', 'shop', '--no-headers')
    assert.match(listed, new RegExp(`^shop +web +10\\.81\\.0\\.10,fd81::10 +${host} `))
    await cluster.carrick(host, 'detach', 'web', '--network', 'shop')
    const other = host === 'h1' ? 'h2' : 'h1'
    await until(`${other} knows that it is gone`, async () => {
      return (await cluster.run(other, 'endpoint', 'get', 'web')).exitCode === 3
    })
  }
})

withTwoHosts("an address of another host's block is granted to its name alone", async (cluster) => {
  await createNetwork(cluster, 'deep', ['--subnet', '10.82.0.0/16'])
  await cluster.attach('deep', 'h1', 'first')
  const { status } = await cluster.json<{
    status: { subnets: { blocks: { prefix: string; host: string }[] }[] }
  }>('h1', 'ipam', 'show', 'deep')
  const block = status.subnets[0]?.blocks.find(({ host }) => host === 'h1')
  const address = `${block?.prefix.split('.').slice(0, 3).join('.')}.${Number(block?.prefix.split(/[./]/)[3]) + 9}`
  await cluster.carrick('h2', 'reserve', 'add', 'deep', 'db', address)
  await until('h1 knows the reservation', async () => {
    return (await cluster.carrick('h1', 'reserve', 'ls', '-q')).includes('deep/db')
  })
  for (const host of ['h1', 'h2']) {
    const thief = await cluster.lab.container(host, `thief-${host}`)
    const steal = ['attach', 'deep', '--netns', thief.netns, '--name', 'thief', '--ip', address]
    assertRefused(await cluster.run(host, ...steal), STATE, address, 'reserved', 'db')
  }
  const db = await cluster.attach('deep', 'h2', 'db')
  assert.deepEqual(db.addresses, [address])
  await knows(cluster, 'h2', 'first')
  await knows(cluster, 'h1', 'db')
  const second = await cluster.attach('deep', 'h1', 'second')
  await knows(cluster, 'h2', 'second')
  assert.ok(carries(db, second))
})

withTwoHosts('nobody is given a reserved address by chance', async (cluster) => {
  await createNetwork(cluster, 'small', ['--subnet', '10.83.0.0/29'])
  for (const [name, last] of [
    ['a', 2],
    ['b', 3],
    ['c', 4],
  ] as const) {
    await cluster.carrick('h1', 'reserve', 'small', name, `10.83.0.${last}`)
  }
  await until('h2 knows the reservations', async () => {
    return (await cluster.carrick('h2', 'reserve', 'ls', 'small', '-q')).split('\n').length === 4
  })
  const given: string[] = []
  for (let i = 0; ; i++) {
    const { netns } = await cluster.lab.container('h2', `any${i}`)
    const { exitCode, stdout, stderr } = await cluster.run(
      'h2',
      'attach',
      'small',
      '--netns',
      netns,
      '-o',
      'json',
    )
    if (exitCode !== 0) {
      assert.match(stderr, /in use|reserved/)
      break
    }
    given.push(...(JSON.parse(stdout) as { spec: { addresses: string[] } }).spec.addresses)
  }
  assert.ok(given.length > 0)
  assert.ok(
    given.every((address) => !/\.[234]$/.test(address)),
    given.join(' '),
  )
  const c = await cluster.attach('small', 'h1', 'c')
  assert.deepEqual(c.addresses, ['10.83.0.4'])
})

withTwoHosts(
  'ipam tells what is where, and finds nothing wrong after all that',
  async (cluster) => {
    const shown = await cluster.carrick('h2', 'ipam', 'show', 'shop')
    assert.match(shown, /^shop +10\.81\.0\.0\/16 +all hosts /m)
    assert.match(shown, /^shop +10\.81\.\d+\.\d+\/26 +h1 /m)
    const check = await cluster.run('h1', 'ipam', 'check')
    assert.deepEqual([check.exitCode, check.stdout], [0, ''])
  },
)

clusterTest(
  'a named container gets its former address on its host, also after a restart',
  { hosts: 1 },
  async (cluster) => {
    await createNetwork(cluster, 'blue', ['--subnet', '10.80.0.0/16', '--subnet', 'fd80::/48'])
    const pet = await cluster.attach('blue', 'h1', 'pet')
    await cluster.carrick('h1', 'detach', 'pet')
    const other = await cluster.attach('blue', 'h1', 'other')
    assert.notDeepEqual(other.addresses, pet.addresses)
    const again = await cluster.attachContainer('blue', pet)
    assert.deepEqual(again.addresses, pet.addresses)
    await cluster.carrick('h1', 'detach', 'pet')
    await cluster.endDaemon('h1', 'SIGTERM')
    cluster.startDaemon('h1')
    await cluster.settled('h1')
    assert.deepEqual((await cluster.attachContainer('blue', pet)).addresses, pet.addresses)
  },
)
