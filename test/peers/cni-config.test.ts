/** What a list and its runtime may say, and what it makes of an interface; and previous results that make no sense. */

import assert from 'node:assert/strict'
import { ask } from '../cluster/ask.ts'
import { until } from '../cluster/harness.ts'
import { Chain } from './cni/chain.ts'
import { addressesOf, assertRefused, assertSound, OWN, TYPE } from './cni/plugin.ts'
import { HOST, NETWORK, type Stage, sharedStage, whoIs } from './cni/stage.ts'

const withStage = sharedStage()

interface Item {
  readonly metadata: { readonly name?: string; readonly labels?: Readonly<Record<string, string>> }
}

async function endpoints({ cluster }: Stage): Promise<readonly Item[]> {
  return (await cluster.json<{ items: Item[] }>(...([HOST, 'endpoint', 'ls'] as const))).items
}

withStage('MTU, routes and a default route that is not wanted', async (stage) => {
  const box = await stage.box('ck1')
  const routes = [{ dst: '192.0.2.128/25', gw: '10.99.0.1' }, { dst: '2001:db8:1::/48' }]
  const keys = { mtu: 1280, isDefaultGateway: false, isGateway: true, hairpinMode: true, routes }
  const result = await stage.add(whoIs(box), { ...keys, 'x-unknown': { keep: [1, 2] } })
  assert.equal(result.interfaces.find(({ name }) => name === 'eth0')?.mtu, 1280)
  const told = (result.routes ?? []).map(({ dst }) => dst)
  assert.ok(told.includes('192.0.2.128/25') && !told.includes('0.0.0.0/0'), told.join())
  const four = await stage.in(box, 'ip', 'route')
  assert.match(four, /^192\.0\.2\.128\/25 via 10\.99\.0\.1 dev eth0/m)
  assert.doesNotMatch(four, /default/)
  const six = await stage.in(box, 'ip', '-6', 'route')
  assert.match(six, /^2001:db8:1::\/48 via fd99:0:0:1::1 dev eth0/m)
  assert.match(await stage.in(box, 'ip', 'link', 'show', 'eth0'), /mtu 1280 /)
  await stage.check(whoIs(box), result)
})

withStage('names: ours where nobody says anything, else what was said', async (stage) => {
  const box = await stage.box('ck1')
  const { dns } = await stage.add(whoIs(box))
  assert.equal(dns?.nameservers?.[0], '169.254.77.53')
  await stage.del(whoIs(box))
  const said = { nameservers: ['9.9.9.9'], search: ['lab.example'], options: ['ndots:2'] }
  assert.deepEqual((await stage.add(whoIs(box), { dns: said })).dns, said)
})

withStage('what contradicts the network, or nobody can keep, is refused', async (stage) => {
  const box = await stage.box('ck1')
  for (const [keys, codes, ...words] of [
    [{ network: 'nowhere' }, [7], 'nowhere'],
    [{ ipMasq: false }, [7], 'ipMasq', 'carrick network set'],
    [{ mtu: 9000 }, [7], '9000'],
    [{ routes: [{ dst: '192.0.2.0/24', gw: '10.99.0.77' }] }, [2], '10.99.0.77'],
    [{ runtimeConfig: { ips: ['10.99.0'] } }, [2, 6, 7], '10.99.0'],
    [{ runtimeConfig: { ips: 'all' } }, [6], 'runtimeConfig.ips'],
    [{ runtimeConfig: { mac: '01:00:5e:00:00:01' } }, [2, 7], '01:00:5e:00:00:01'],
    [{ runtimeConfig: { portMappings: [{ hostPort: 70000, containerPort: 80 }] } }, [2, 6, 7]],
    [{ runtimeConfig: { bandwidth: { ingressRate: -1 } } }, [2, 6, 7], 'ingressRate'],
    [{ runtimeConfig: { ipRanges: [[{ subnet: '10.77.0.0/24' }]] } }, [2, 7, OWN], '10.77.0.0/24'],
  ] as const) {
    const answer = await stage.call('ADD', whoIs(box), stage.config(keys))
    assertRefused(answer, codes, ...words)
  }
  assert.doesNotMatch(await stage.in(box, 'ip', '-br', 'link'), /eth0/)
})

withStage('addresses from ranges, and several by CNI_ARGS as multus writes them', async (stage) => {
  const box = await stage.box('ck1')
  const ipRanges = [[{ subnet: '10.99.0.0/24', rangeStart: '10.99.0.80', rangeEnd: '10.99.0.80' }]]
  const ranged = await stage.add(whoIs(box), { runtimeConfig: { ipRanges } })
  assert.ok(addressesOf(ranged).includes('10.99.0.80'))
  await stage.del(whoIs(box))
  const args = 'IP=10.99.0.81,fd99:0:0:1::81/64;MAC=0a:00:00:00:00:81'
  const both = await stage.add(whoIs(box, 'ck1', 'net1'), {}, { args })
  assert.deepEqual(addressesOf(both), ['10.99.0.81', 'fd99:0:0:1::81'])
})

withStage('who counts when the same is said twice', async (stage) => {
  const box = await stage.box('ck1')
  const args = 'IP=10.99.0.91;MAC=0a:00:00:00:00:91'
  const cni = { ips: ['10.99.0.92'], labels: [{ key: 'tier', value: 'web' }] }
  const runtimeConfig = { ips: ['10.99.0.93'] }
  const result = await stage.add(whoIs(box), { args: { cni }, runtimeConfig }, { args })
  assert.equal(addressesOf(result)[0], '10.99.0.93')
  assert.equal(result.interfaces.find(({ name }) => name === 'eth0')?.mac, '0a:00:00:00:00:91')
  const [item] = await endpoints(stage)
  assert.equal(item?.metadata.labels?.['tier'], 'web')
})

withStage('Nomad: behind loopback, each port by both protocols, asked again', async (stage) => {
  const box = await stage.box('ck1')
  const id = '0e6e3d5b-2b1c-4c5b-8e5f-9d1f6f9b5a11'
  const ports = (HostPort: number) =>
    ['tcp', 'udp'].map((Protocol) => ({ HostPort, ContainerPort: 8080, Protocol, HostIP: '' }))
  const args = 'IgnoreUnknown=true;NOMAD_REGION=global;NOMAD_JOB_ID={"a":1};NOMAD_ALLOC_ID=x'
  const portMappings = { portMappings: true }
  const links = [{ type: 'loopback' }, { type: TYPE, capabilities: portMappings }]
  const chainOf = (runtimeConfig: Readonly<Record<string, unknown>>) =>
    new Chain(stage, links, { version: '0.4.0', name: NETWORK, args, runtimeConfig })
  await assert.rejects(chainOf({ portMappings: ports(70_000) }).add(whoIs(box, id)))
  const chain = chainOf({ portMappings: ports(21_000) })
  const result = await chain.add(whoIs(box, id))
  await chain.check(whoIs(box, id), result)
  const published = await stage.cluster.carrick(HOST, 'publish', 'ls')
  assert.match(published, /21000 +tcp/)
  assert.match(published, /21000 +udp/)
  await chain.del(whoIs(box, id))
})

withStage('two pods of one name are both found', async (stage) => {
  const [one, two] = [await stage.box('ck1'), await stage.box('ck2')]
  const argsOf = (namespace: string) =>
    `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=web;K8S_POD_UID=${namespace}`
  const [first] = addressesOf(await stage.add(whoIs(one), {}, { args: argsOf('red') }))
  const [second] = addressesOf(await stage.add(whoIs(two), {}, { args: argsOf('blue') }))
  assert.equal(ask(one, 'web.red'), `NOERROR ${first}`)
  assert.equal(ask(one, 'web.blue'), `NOERROR ${second}`)
  await until('both answer', () => ask(one, 'web').includes(second ?? '?'))
})

withStage('a MAC that tuning gives is followed', async (stage) => {
  const [box, peer] = [await stage.box('ck1'), await stage.box('ck2')]
  const mac = '0a:00:00:00:00:28'
  const links = [{ type: TYPE }, { type: 'tuning', mac }]
  const chain = new Chain(stage, links, { version: '1.0.0', name: NETWORK })
  const result = await chain.add(whoIs(box))
  const [there = ''] = addressesOf(await stage.add(whoIs(peer)))
  await chain.check(whoIs(box), result)
  await until('it talks', () => stage.pings(box, there))
  assert.match(await stage.in(box, 'ip', 'link', 'show', 'eth0'), new RegExp(mac))
  await chain.del(whoIs(box), result)
})

withStage('previous results that make no sense crash nobody', async (stage) => {
  const box = await stage.box('ck1')
  const who = whoIs(box)
  const lo = { name: 'lo', mac: '00:00:00:00:00:00', sandbox: box.netns }
  const ip = { address: '127.0.0.1/8', interface: 0 }
  const sound = { cniVersion: '1.0.0', interfaces: [lo], ips: [ip] }
  for (const wrong of [
    { interfaces: [lo], ips: [{ ...ip, interface: 1 }] },
    { interfaces: [lo], ips: [{ ...ip, interface: -1 }] },
    { interfaces: [lo], ips: [{ ...ip, interface: 1e9 }] },
    { interfaces: [], ips: [ip] },
    { interfaces: [lo], ips: [{ ...ip, address: '127.0.0.1' }] },
    { interfaces: [{ ...lo, mac: 'zz' }] },
    { interfaces: lo },
    { ips: 'none' },
    { cniVersion: '7.0.0' },
  ]) {
    const prevResult = { ...sound, ...wrong }
    const config = stage.config({ prevResult }, { version: '1.0.0' })
    const answer = await stage.call('ADD', who, config)
    if (answer.exitCode === 0) assertSound(JSON.parse(answer.stdout), who)
    else assertRefused(answer, [1, 6, 7])
    for (const verb of ['CHECK', 'DEL']) {
      const { exitCode, stdout } = await stage.call(verb, who, config)
      assert.ok([0, 1].includes(exitCode), `${verb}: ${exitCode} ${stdout}`)
    }
    await stage.del(who)
  }
})
