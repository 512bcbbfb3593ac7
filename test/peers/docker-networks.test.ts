/** Networks and addresses of a real engine: the rows N of the acceptance list. */

import assert from 'node:assert/strict'
import { IMAGE } from '../../src/lab/docker-engine.ts'
import { shell } from '../cluster/harness.ts'
import {
  assertRefused,
  inside,
  OURS,
  pings,
  run,
  settingsOf,
  sharedEngines,
} from './docker-harness.ts'

const withEngine = sharedEngines({ hosts: 1 })

interface Inspected {
  readonly Driver: string
  readonly Scope: string
  readonly Options: Readonly<Record<string, string>>
  readonly IPAM: {
    readonly Driver: string
    readonly Options: Readonly<Record<string, string>> | null
    readonly Config: readonly { readonly Subnet: string; readonly Gateway: string }[]
  }
}

withEngine('N1: a network with a chosen subnet', async ({ docker }) => {
  await docker.docker(...OURS, 'n1')
  const [seen] = JSON.parse(await docker.docker('network', 'inspect', 'n1')) as Inspected[]
  assert.equal(seen?.Driver, 'carrick')
  assert.equal(seen?.Scope, 'local')
  assert.match(seen?.IPAM.Config[0]?.Subnet ?? '', /^10\.[\d.]+\/20$/)
  assert.match(seen?.IPAM.Config[0]?.Gateway ?? '', /^10\.[\d.]+\.1$/)
  await docker.docker('network', 'rm', 'n1')
})

withEngine('N2: options are shown and heeded, unknown ones refused', async ({ docker }) => {
  const options = [
    '-o',
    'carrick.mtu=1400',
    '-o',
    'carrick.name=two',
    '-o',
    'carrick.carrier=vxlan',
  ]
  await docker.docker(...OURS, ...options, 'n1')
  const [seen] = JSON.parse(await docker.docker('network', 'inspect', 'n1')) as Inspected[]
  assert.equal(seen?.Options['carrick.mtu'], '1400')
  await run(docker, 'c1', '--network', 'n1')
  assert.match(await inside(docker, 'c1', 'ip', 'link', 'show', 'eth0'), /mtu 1400/)
  await assertRefused(
    docker,
    [...OURS, '-o', 'carrick.mtuu=1400', 'n2'],
    'carrick: ',
    'carrick.mtuu is not known: did you mean carrick.mtu?',
  )
})

withEngine('N3: range, gateway and auxiliary address', async ({ docker }) => {
  const flags = ['--subnet', '10.88.0.0/16', '--ip-range', '10.88.5.0/28']
  const more = ['--gateway', '10.88.0.254', '--aux-address', 'a=10.88.5.9']
  await docker.docker(...OURS, ...flags, ...more, 'n1')
  for (const name of ['c1', 'c2', 'c3']) {
    await run(docker, name, '--network', 'n1')
    const { IPAddress, Gateway } = await settingsOf(docker, name, 'n1')
    assert.match(IPAddress, /^10\.88\.5\.([0-9]|1[0-5])$/)
    assert.notEqual(IPAddress, '10.88.5.9')
    assert.equal(Gateway, '10.88.0.254')
    assert.match(await inside(docker, name, 'ip', 'route'), /^default via 10\.88\.0\.254 dev eth0/)
  }
  assert.ok(await pings(docker, 'c1', 'c3'))
  assert.ok(await pings(docker, 'c1', '10.88.0.254'))
  await run(docker, 'c4', '--network', 'n1', '--ip', '10.88.200.7')
  const taken = ['run', '--rm', '--network', 'n1', '--ip', '10.88.5.9', IMAGE, 'true']
  await assertRefused(docker, taken, '10.88.5.9')
})

withEngine('N4: two subnets in one network', async ({ docker }) => {
  await docker.docker(...OURS, '--subnet', '10.88.0.0/24', '--subnet', '10.89.0.0/24', 'n1')
  await run(docker, 'c1', '--network', 'n1')
  await run(docker, 'c2', '--network', 'n1', '--ip', '10.88.0.9')
  await run(docker, 'c3', '--network', 'n1', '--ip', '10.89.0.9')
  // Which of the two it calls the first is left to the engine's command line.
  const { IPAddress } = await settingsOf(docker, 'c1', 'n1')
  assert.match(IPAddress, /^10\.8[89]\.0\./)
  assert.equal((await settingsOf(docker, 'c2', 'n1')).Gateway, '10.88.0.1')
  assert.equal((await settingsOf(docker, 'c3', 'n1')).Gateway, '10.89.0.1')
  for (const to of [IPAddress, '10.88.0.9', '10.89.0.9', '10.88.0.1', '10.89.0.1']) {
    for (const from of ['c1', 'c2', 'c3']) assert.ok(await pings(docker, from, to), to)
  }
})

withEngine('N5: a subnet is had once', async ({ docker }) => {
  await docker.docker(...OURS, '--subnet', '10.88.0.0/24', 'n1')
  await run(docker, 'c1', '--network', 'n1')
  await assertRefused(
    docker,
    [...OURS, '--subnet', '10.88.0.0/24', 'n2'],
    'overlap',
    'Docker network',
  )
  await run(docker, 'c2', '--network', 'n1')
  assert.ok(await pings(docker, 'c1', 'c2'))
})

withEngine('N6: both families, the same addresses after a restart', async ({ docker }) => {
  const subnets = ['--subnet', '2001:db8:1234::/64', '--subnet', '172.28.0.0/16']
  await docker.docker(...OURS, '--ipv6', ...subnets, 'n1')
  const fixed = ['--ip', '172.28.9.9', '--ip6', '2001:db8:1234::99']
  await run(docker, 'c1', '--network', 'n1', ...fixed)
  await run(docker, 'c2', '--network', 'n1')
  for (const _round of [1, 2]) {
    const { IPAddress, GlobalIPv6Address } = await settingsOf(docker, 'c1', 'n1')
    assert.equal(IPAddress, '172.28.9.9')
    assert.equal(GlobalIPv6Address, '2001:db8:1234::99')
    assert.match(await inside(docker, 'c1', 'ip', '-6', 'addr'), /2001:db8:1234::99\/64/)
    assert.match(await inside(docker, 'c1', 'ip', '-6', 'route'), /default via 2001:db8:1234::1/)
    assert.ok(await pings(docker, 'c2', '172.28.9.9'))
    const six = ['ping', '-6', '-c', '1', '-W', '2', '2001:db8:1234::99']
    await inside(docker, 'c2', ...six)
    await docker.docker('restart', '-t', '0', 'c1')
  }
})

withEngine('N7: addresses that cannot be had', async ({ docker }) => {
  await docker.docker(...OURS, 'n0')
  await docker.docker(...OURS, '--subnet', '10.88.0.0/16', 'n1')
  await run(docker, 'c1', '--network', 'n1', '--ip', '10.88.0.9')
  const ask = (network: string, ip: string): string[] => {
    return ['run', '--rm', '--network', network, '--ip', ip, IMAGE, 'true']
  }
  await assertRefused(docker, ask('n0', '10.64.0.9'), 'user configured subnets')
  await assertRefused(docker, ask('n1', '10.89.0.9'), /subnet|pool/)
  await assertRefused(docker, ask('n1', '10.88.0.9'), 'carrick: ', '10.88.0.9')
})

withEngine('N8: options of the address driver', async ({ docker, cluster }) => {
  await cluster.carrick('h1', 'network', 'create', 'blue', '--subnet', '10.90.0.0/16')
  const same = ['--ipam-opt', 'carrick.network=blue', '-o', 'carrick.network=blue']
  await docker.docker(...OURS, ...same, 'n1')
  const [seen] = JSON.parse(await docker.docker('network', 'inspect', 'n1')) as Inspected[]
  assert.equal(seen?.IPAM.Options?.['carrick.network'], 'blue')
  assert.equal(seen?.IPAM.Config[0]?.Subnet, '10.90.0.0/16')
  await assertRefused(docker, [...OURS, '--ipam-opt', 'k=v', 'n2'], '--ipam-opt k is not known')
  await docker.docker('network', 'rm', 'n1')
  assert.match(await cluster.carrick('h1', 'network', 'ls', '-o', 'name'), /blue/)
  await cluster.carrick('h1', 'network', 'rm', 'blue')
})

withEngine('N9: what does not fit together', async ({ docker }) => {
  for (const flags of [
    ['--subnet', '10.88.0.0/24', '--ip-range', '10.89.0.0/28'],
    ['--subnet', '10.88.0.0/24', '--gateway', '10.89.0.1'],
    ['--subnet', '10.88.0.0/24', '--subnet', '10.88.0.0/28'],
    ['--subnet', '10.88.0.0/24', '--gateway', '10.88.0.1', '--gateway', '10.88.0.2'],
  ]) {
    await assertRefused(docker, [...OURS, ...flags, 'n1'])
  }
})

withEngine('N10: the bridge driver with our addresses', async ({ docker }) => {
  await docker.docker('network', 'create', '-d', 'bridge', '--ipam-driver', 'carrick', 'br0')
  await run(docker, 'c1', '--network', 'br0')
  await run(docker, 'c2', '--network', 'br0')
  assert.ok(await pings(docker, 'c1', 'c2'))
  assert.match(await inside(docker, 'c1', 'ip', 'route'), /^default via 10\./)
})

withEngine('N11: our networks with the engine’s own addresses, and with none', async (stage) => {
  const { docker, cluster } = stage
  await docker.docker('network', 'create', '-d', 'carrick', 'n1')
  await run(docker, 'c1', '--network', 'n1')
  await run(docker, 'c2', '--network', 'n1')
  assert.ok(await pings(docker, 'c1', 'c2'))
  const none = ['network', 'create', '-d', 'carrick', '--ipam-driver', 'null']
  await assertRefused(docker, [...none, 'n2'], 'carrick.network=NAME')
  await cluster.carrick('h1', 'network', 'create', 'blue', '--subnet', '10.90.0.0/16')
  await docker.docker(...none, '-o', 'carrick.network=blue', 'n2')
  await run(docker, 'c3', '--network', 'n2')
  assert.match((await settingsOf(docker, 'c3', 'n2')).IPAddress, /^10\.90\./)
  await docker.docker('rm', '-f', 'c3')
  await docker.docker('network', 'rm', 'n2')
  await cluster.carrick('h1', 'network', 'rm', 'blue')
})

withEngine('N12: thirty chosen subnets keep off a route of the host', async (stage) => {
  const { docker, cluster } = stage
  const device = 'ip link add far type veth peer name farther && ip link set far up'
  await shell(cluster, 'h1', `${device} && ip route add 10.64.16.0/24 dev far`)
  const names = Array.from({ length: 30 }, (_, i) => `n${i + 1}`)
  const seen = new Set<string>()
  try {
    await Promise.all(names.map((name) => docker.docker(...OURS, name)))
    const all = JSON.parse(await docker.docker('network', 'inspect', ...names)) as Inspected[]
    for (const { IPAM } of all) seen.add(IPAM.Config[0]?.Subnet ?? '')
    assert.equal(seen.size, names.length)
    assert.ok(!seen.has('10.64.16.0/20'), 'a route lies in it')
    await docker.docker('network', 'rm', ...names)
  } finally {
    await shell(cluster, 'h1', 'ip link del far')
  }
})

withEngine('N13: a network that is used is not removed', async ({ docker }) => {
  await docker.docker(...OURS, 'n1')
  await run(docker, 'c1', '--network', 'n1')
  await assertRefused(docker, ['network', 'rm', 'n1'], 'active endpoints')
  await docker.docker('rm', '-f', 'c1')
  await docker.docker('network', 'rm', 'n1')
})

withEngine('N14: odd names', async ({ docker }) => {
  await docker.docker(...OURS, 'test@#$')
  await docker.docker('run', '--rm', '--network', 'test@#$', IMAGE, 'true')
})

withEngine('N15: an internal network has no way out', async ({ docker, cluster }) => {
  await docker.docker(...OURS, '--internal', '--subnet', '10.88.0.0/24', 'n1')
  await run(docker, 'c1', '--network', 'n1', '--cap-add', 'NET_ADMIN')
  await run(docker, 'c2', '--network', 'n1')
  assert.ok(await pings(docker, 'c1', 'c2'))
  assert.doesNotMatch(await inside(docker, 'c1', 'ip', 'route'), /default/)
  assert.deepEqual(await devicesOf(docker, 'c1'), ['eth0', 'lo'])
  const underlay = cluster.lab.hosts[0]?.underlay[0].ip ?? ''
  await inside(docker, 'c1', 'ip', 'route', 'add', 'default', 'dev', 'eth0')
  assert.ok(!(await pings(docker, 'c1', underlay)))
})

async function devicesOf(docker: Parameters<typeof inside>[0], name: string) {
  return (await inside(docker, name, 'ls', '/sys/class/net')).split(/\s+/).sort()
}
