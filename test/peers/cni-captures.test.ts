/**
 * What libcni, podman, ctr and containerd's CRI were seen to send, sent again: environment and standard input are
 * theirs, but for the name of the program and for paths.
 */

import assert from 'node:assert/strict'
import type { LabContainer } from '../../src/lab/lab.ts'
import { ask } from '../cluster/ask.ts'
import { until } from '../cluster/harness.ts'
import {
  addressesOf,
  assertRefused,
  assertSilent,
  NOBODY,
  type Result,
  resultOf,
  TYPE,
  type Who,
} from './cni/plugin.ts'
import { HOST, type Stage, sharedStage } from './cni/stage.ts'

const withStage = sharedStage()
const PODMAN_ID = '521c59df7622da56edb2e1171e570930557a808eb1d2beb0facb211cba82194f'
const POD_ID = `29791e${'0'.repeat(54)}cd55`

async function add(
  stage: Stage,
  who: Who,
  object: object,
  args: string,
  env = {},
): Promise<Result> {
  const stdin = JSON.stringify({ type: TYPE, ...object })
  return resultOf(await stage.call('ADD', who, stdin, { args, env }), 'ADD')
}

async function silent(stage: Stage, verb: string, who: Who, object: object, args = '') {
  const stdin = JSON.stringify({ type: TYPE, ...object })
  assertSilent(await stage.call(verb, who, stdin, { args }), verb)
}

async function macOf(stage: Stage, box: LabContainer, ifname: string): Promise<string> {
  return JSON.parse(await stage.in(box, 'ip', '-j', 'link', 'show', ifname))[0].address
}

withStage('libcni: both families, by host-local, with keys that nobody knows', async (stage) => {
  await stage.network('net', '10.231.0.0/24', 'fd00:acc1::/64')
  const box = await stage.box('c1')
  const who = { id: 'cnitool-0d834f8ec9b5c9cfff50', netns: box.netns, ifname: 'eth0' }
  const plugin = {
    ...{ bridge: 'br0', cniVersion: '1.1.0', ipMasq: true, isGateway: true, name: 'net' },
    capabilities: { aliases: true, ips: true, mac: true, portMappings: false },
    ipam: {
      ranges: [[{ subnet: '10.231.0.0/24' }], [{ subnet: 'fd00:acc1::/64' }]],
      routes: [{ dst: '0.0.0.0/0' }],
      type: 'host-local',
    },
    'x-unknown': { keep: [1, 2] },
  }
  const runtimeConfig = {
    ...{ aliases: ['web', 'db'], ips: ['10.231.0.77'], mac: '0a:00:00:00:00:77' },
  }
  const args = 'IgnoreUnknown=1;FOO=bar'
  // Debian's host-local stops at 1.0.0, and libcni would not have taken this list with it.
  const asked = { ...plugin, cniVersion: '1.0.0', runtimeConfig }
  const result = await add(stage, who, asked, args)
  const own = result.interfaces.findIndex(({ name }) => name === 'eth0')
  const ips = result.ips.map(({ address, gateway, interface: index }) => [address, gateway, index])
  assert.deepEqual(ips, [
    ['10.231.0.77/24', '10.231.0.1', own],
    ['fd00:acc1::2/64', 'fd00:acc1::1', own],
  ])
  assert.equal(result.interfaces[own]?.mac, '0a:00:00:00:00:77')
  assert.equal(await macOf(stage, box, 'eth0'), '0a:00:00:00:00:77')
  assert.equal(ask(box, 'db.net'), 'NOERROR 10.231.0.77')
  const after = { ...asked, prevResult: result }
  await silent(stage, 'CHECK', who, after, args)
  await silent(stage, 'STATUS', NOBODY, { ...plugin, ipam: {} })
  await silent(stage, 'DEL', who, after, args)
  await silent(stage, 'DEL', who, asked, args)
  await stage.removeNetwork('net')
})

withStage('libcni: VERSION with its dummies, and GC in four shapes', async (stage) => {
  const dummies = { CNI_PATH: 'dummy' }
  const who = { id: '', netns: 'dummy', ifname: 'dummy' }
  const version = await stage.call('VERSION', who, '{"cniVersion":"1.1.0"}', {
    args: '',
    env: dummies,
  })
  assert.equal(version.exitCode, 0)
  assert.ok(JSON.parse(version.stdout).supportedVersions.includes('1.1.0'))
  const set = [
    { containerID: 'keepme', ifname: 'eth0' },
    { containerID: 'other', ifname: 'net1' },
  ]
  const gc = (keys: object) => stage.call('GC', NOBODY, stage.config(keys), { args: '' })
  assertRefused(await gc({}), [7])
  for (const valid of [null, [], set]) {
    const both = { 'cni.dev/attachments': valid, 'cni.dev/valid-attachments': valid }
    for (const keys of [both, { 'cni.dev/attachments': valid }]) {
      const { stdout, exitCode } = await gc(keys)
      assert.equal(exitCode, 0, stdout)
    }
  }
})

withStage(
  'podman: an address, a MAC, aliases and ports; the DEL of its clean-up',
  async (stage) => {
    await stage.network('net', '10.236.0.0/24')
    const box = await stage.box('web1')
    const who = { id: PODMAN_ID, netns: box.netns, ifname: 'eth0' }
    const object = {
      ...{ cniVersion: '0.4.0', name: 'net' },
      capabilities: { aliases: true, portMappings: true },
      runtimeConfig: {
        aliases: { net: ['db', 'primary', '521c59df7622'] },
        portMappings: [
          { hostPort: 18080, containerPort: 80, protocol: 'tcp', hostIP: '127.0.0.1' },
          { hostPort: 18081, containerPort: 81, protocol: 'udp' },
        ],
      },
    }
    const args = 'IgnoreUnknown=1;K8S_POD_NAME=web1;MAC=0a:00:00:00:00:55;IP=10.236.0.55'
    const prevResult = await add(stage, who, object, args, { XDG_RUNTIME_DIR: '' })
    assert.deepEqual(addressesOf(prevResult), ['10.236.0.55'])
    assert.equal(prevResult.ips[0]?.version, '4')
    assert.equal(await macOf(stage, box, 'eth0'), '0a:00:00:00:00:55')
    for (const name of ['web1', 'db', 'primary', '521c59df7622']) {
      assert.equal(ask(box, name), 'NOERROR 10.236.0.55', name)
    }
    const ports = await stage.cluster.carrick(HOST, 'publish', 'ls')
    assert.match(ports, /127\.0\.0\.1 +18080 +tcp/)
    assert.match(ports, /18081 +udp/)
    await silent(stage, 'DEL', who, { ...object, prevResult }, args)
    // network reload: the same address and MAC, asked for.
    const again = 'IgnoreUnknown=1;K8S_POD_NAME=web1;MAC=ca:a2:d1:f9:16:3f;IP=10.236.0.57'
    assert.deepEqual(addressesOf(await add(stage, who, object, again)), ['10.236.0.57'])
    await silent(stage, 'DEL', who, object, again)
    await stage.removeNetwork('net')
  },
)

withStage(
  'podman: a second network of a running container, and an address per family',
  async (stage) => {
    await stage.network('dual', '10.238.0.0/24', 'fd00:acc8::/64')
    const box = await stage.box('two')
    await stage.add({ id: PODMAN_ID, netns: box.netns, ifname: 'eth0' })
    const who = { id: PODMAN_ID, netns: box.netns, ifname: 'eth1' }
    const object = {
      ...{ cniVersion: '0.4.0', name: 'dual', capabilities: { ips: true } },
      runtimeConfig: { ips: ['10.238.0.5', 'fd00:acc8::5'] },
    }
    const args = 'IgnoreUnknown=1;K8S_POD_NAME=two'
    assert.deepEqual(addressesOf(await add(stage, who, object, args)), [
      '10.238.0.5',
      'fd00:acc8::5',
    ])
    // Podman asks for other capabilities when it takes away what it asked for.
    const portMappings = [{ hostPort: 18090, containerPort: 80, protocol: 'tcp' }]
    const leaving = {
      ...object,
      capabilities: { portMappings: true },
      runtimeConfig: { portMappings },
    }
    await silent(stage, 'DEL', who, leaving, args)
    assert.match(await stage.in(box, 'ip', '-br', 'link'), /eth0/)
    await stage.removeNetwork('dual')
  },
)

withStage('ctr: a namespace by a process, taken away without one', async (stage) => {
  const box = await stage.box('c1')
  const { cluster } = stage
  const process = cluster.lab.spawnIn(box, ['sleep', '1000'], { stdio: 'ignore' })
  const inside = async () => {
    const argv = ['readlink', `/proc/${process.pid}/ns/net`]
    const [there, own] = [
      await cluster.lab.run(HOST, argv),
      await cluster.lab.runIn(box, ['readlink', '/proc/self/ns/net']),
    ]
    return there.stdout === own.stdout
  }
  await until('the process is in its namespace', inside)
  const who = { id: 'default-c1', netns: `/proc/${process.pid}/ns/net`, ifname: 'eth0' }
  const env = { CNI_PATH: '/opt/cni/bin:/usr/lib/cni', HOME: '/root', LANG: 'C' }
  const object = JSON.parse(stage.config({}, { version: '1.0.0' }))
  const prevResult = await add(stage, who, object, '', env)
  assert.equal(prevResult.interfaces.at(-1)?.sandbox, who.netns)
  process.kill('SIGKILL')
  await until('it is gone', () => process.signalCode !== null)
  await silent(stage, 'DEL', { ...who, netns: '' }, { ...object, prevResult })
})

withStage('containerd’s CRI: a pod with all there is, and three DELs', async (stage) => {
  const box = await stage.box('pod')
  const who = { id: POD_ID, netns: box.netns.replace('/run', '/var/run'), ifname: 'eth0' }
  const object = JSON.parse(stage.config({}, { version: '1.0.0' }))
  const runtimeConfig = {
    bandwidth: {
      ...{ IngressRate: 10_000_000, IngressBurst: 4_294_967_295 },
      ...{ EgressRate: 20_000_000, EgressBurst: 4_294_967_295 },
    },
    dns: {
      Servers: ['10.96.0.10'],
      Searches: ['team-ns.svc.cluster.local', 'svc.cluster.local'],
      Options: ['ndots:5'],
    },
    'io.kubernetes.cri.pod-annotations': {
      ...{ 'example.org/note': 'hello', 'kubernetes.io/egress-bandwidth': '20M' },
      'kubernetes.io/ingress-bandwidth': '10M',
    },
    portMappings: [
      { HostPort: 18100, ContainerPort: 80, Protocol: 'tcp', HostIP: '' },
      { HostPort: 18153, ContainerPort: 53, Protocol: 'udp', HostIP: '127.0.0.1' },
    ],
  }
  const pod = ['K8S_POD_NAMESPACE=team-ns', 'K8S_POD_NAME=pod-a']
  const more = [
    `K8S_POD_INFRA_CONTAINER_ID=${POD_ID}`,
    'K8S_POD_UID=9d0c1e2a-1111-2222-3333-444455556666',
  ]
  const args = [...pod, ...more, 'IgnoreUnknown=1'].join(';')
  const prevResult = await add(stage, who, { ...object, runtimeConfig }, args)
  assert.deepEqual(prevResult.dns, {
    nameservers: ['10.96.0.10'],
    search: ['team-ns.svc.cluster.local', 'svc.cluster.local'],
    options: ['ndots:5'],
  })
  const { items } = await stage.cluster.json<{
    items: { metadata: { name?: string; labels?: Record<string, string> } }[]
  }>(...([HOST, 'endpoint', 'ls'] as const))
  const labels = items[0]?.metadata.labels ?? {}
  assert.equal(items[0]?.metadata.name, 'pod-a')
  assert.equal(labels['io.kubernetes.pod.namespace'], 'team-ns')
  assert.equal(labels['io.kubernetes.pod.uid'], '9d0c1e2a-1111-2222-3333-444455556666')
  assert.equal(ask(box, 'pod-a'), `NOERROR ${addressesOf(prevResult)[0]}`)
  const ports = await stage.cluster.carrick(HOST, 'publish', 'ls')
  assert.match(ports, /18100 +tcp/)
  assert.match(ports, /127\.0\.0\.1 +18153 +udp/)
  await silent(stage, 'DEL', who, { ...object, runtimeConfig, prevResult }, args)
  for (let i = 0; i < 2; i++) {
    await silent(stage, 'DEL', { ...who, netns: '' }, { ...object, runtimeConfig }, args)
  }
})
