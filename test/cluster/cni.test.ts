/**
 * CNI calls on bad days: the plug-in's process is killed, the daemon dies at every step of an ADD or a DEL, namespaces go
 * without a word, machines restart. The next ADD or DEL makes right whatever was left, and nothing is left at the end.
 */

import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { statSync } from 'node:fs'
import type { Cluster } from '../../src/lab/cluster.ts'
import type { LabContainer } from '../../src/lab/lab.ts'
import { collect, type RunResult } from '../../src/lab/processes.ts'
import { createNetwork, sharedCluster, shell, until } from './harness.ts'
import { assertKernelIsModel } from './kernel-dump.ts'
import { assertKilled, restart } from './killing.ts'

const HOST = 'h1'
const PLUGIN = '/opt/cni/bin/carrick'
const ATTACH = ['commit', 'put veth', 'put endpoint', 'put interior']
const DETACH = ['commit', 'remove interior', 'remove veth']
const TRY_AGAIN = 11
/** Two looks for what is lost, ten seconds apart, and the time to be done with it. */
const LOST_MS = 40_000

/** An IPAM plug-in that tells of its calls, and gives nothing before it is let go. */
const SLOW = `#!/bin/sh
cat > /dev/null
case $CNI_COMMAND in
VERSION) echo '{"cniVersion":"1.0.0","supportedVersions":["1.0.0"]}' ;;
ADD)
  echo ADD >> /run/slow.log
  while [ ! -e /run/slow.go ]; do sleep 0.02; done
  echo '{"cniVersion":"1.0.0","ips":[{"address":"10.70.0.77/24"}]}' ;;
*) echo $CNI_COMMAND >> /run/slow.log ;;
esac
`

const withHost = sharedCluster({ hosts: 1 })

async function prepare(cluster: Cluster): Promise<void> {
  if ((await cluster.run(HOST, 'network', 'get', 'cknet')).exitCode === 0) return
  await createNetwork(cluster, 'cknet', ['--subnet', '10.70.0.0/24', '--subnet', 'fd70::/64'])
  await shell(cluster, HOST, `mkdir -p /opt/cni/bin && ln -sf ${cluster.executable} ${PLUGIN}`)
}

const CONFIG = { type: 'carrick', name: 'cknet', cniVersion: '1.0.0' }

function start(
  cluster: Cluster,
  verb: string,
  { name, netns }: Pick<LabContainer, 'name' | 'netns'>,
  ifname = 'eth0',
): ChildProcess {
  const variables = {
    CNI_COMMAND: verb,
    CNI_CONTAINERID: name,
    CNI_NETNS: netns,
    CNI_IFNAME: ifname,
    CNI_PATH: '/opt/cni/bin',
  }
  const assignments = Object.entries(variables).map(([key, value]) => `${key}=${value}`)
  return cluster.lab.spawn(HOST, ['env', '-i', ...assignments, PLUGIN])
}

function call(
  cluster: Cluster,
  verb: string,
  box: Pick<LabContainer, 'name' | 'netns'>,
  keys: object = {},
  ifname?: string,
): Promise<RunResult> {
  const input = JSON.stringify({ ...CONFIG, ...keys })
  return collect(start(cluster, verb, box, ifname), { input })
}

async function done(answer: Promise<RunResult>): Promise<string> {
  const { exitCode, stdout, stderr } = await answer
  assert.equal(exitCode, 0, stdout + stderr)
  return stdout
}

async function codeOf(answer: Promise<RunResult>): Promise<number> {
  const { exitCode, stdout } = await answer
  assert.equal(exitCode, 1, stdout)
  return (JSON.parse(stdout) as { code: number }).code
}

async function endpoints(cluster: Cluster): Promise<number> {
  return (await cluster.json<{ items: unknown[] }>(HOST, 'endpoint', 'ls')).items.length
}

async function pings(cluster: Cluster, box: LabContainer): Promise<boolean> {
  const argv = ['ping', '-n', '-c', '1', '-W', '2', '10.70.0.1']
  return (await cluster.lab.runIn(box, argv)).exitCode === 0
}

withHost('a daemon that dies at any step of an ADD leaves nothing of it', async (cluster) => {
  await prepare(cluster)
  const box = await cluster.lab.container(HOST, 'box')
  for (const step of ATTACH) {
    await restart(cluster, HOST, step)
    assert.equal(await codeOf(call(cluster, 'ADD', box)), TRY_AGAIN, step)
    await assertKilled(cluster, HOST, step)
    await restart(cluster, HOST)
    // Nobody has the answer: a runtime may ask again without a DEL.
    await done(call(cluster, 'ADD', box))
    assert.equal(await endpoints(cluster), 1, step)
    assert.ok(await pings(cluster, box), step)
    await done(call(cluster, 'DEL', box))
    await assertKernelIsModel(cluster, HOST)
  }
  await cluster.lab.removeContainer(box)
})

withHost('a DEL at which the daemon dies is done when it is back', async (cluster) => {
  await prepare(cluster)
  const box = await cluster.lab.container(HOST, 'box')
  for (const step of DETACH) {
    await restart(cluster, HOST)
    await done(call(cluster, 'ADD', box))
    await restart(cluster, HOST, step)
    await done(call(cluster, 'DEL', { ...box, netns: '' }))
    await assertKilled(cluster, HOST, step)
    // It is away now: an ADD cannot be, another DEL is kept with the first.
    assert.equal(await codeOf(call(cluster, 'ADD', box)), TRY_AGAIN, step)
    await done(call(cluster, 'DEL', box))
    await restart(cluster, HOST)
    await until('it is gone', async () => (await endpoints(cluster)) === 0)
    await until('its file is gone', async () => {
      return (await shell(cluster, HOST, 'ls /var/lib/carrick/cni-spool')) === ''
    })
    await assertKernelIsModel(cluster, HOST)
  }
  await cluster.lab.removeContainer(box)
})

withHost('an ADD whose process was killed is taken back, and its plug-in told', async (cluster) => {
  await prepare(cluster)
  await restart(cluster, HOST)
  const script = 'cat > /opt/cni/bin/slow && chmod 755 /opt/cni/bin/slow && rm -f /run/slow.*'
  const made = await cluster.lab.run(HOST, ['sh', '-c', script], { input: SLOW })
  assert.equal(made.exitCode, 0, made.stderr)
  const box = await cluster.lab.container(HOST, 'box')
  const asked = () => shell(cluster, HOST, 'cat /run/slow.log 2>/dev/null || :')
  const process = start(cluster, 'ADD', box)
  process.stdin?.end(JSON.stringify({ ...CONFIG, ipam: { type: 'slow' } }))
  await until('the plug-in is asked', async () => (await asked()) === 'ADD\n')
  process.kill('SIGKILL')
  await shell(cluster, HOST, 'touch /run/slow.go')
  await until('the plug-in is told', async () => (await asked()) === 'ADD\nDEL\n')
  assert.equal(await endpoints(cluster), 0)
  const links = await cluster.lab.runIn(box, ['ip', '-br', 'link'])
  assert.doesNotMatch(links.stdout, /eth0/)
  await done(call(cluster, 'DEL', box, { ipam: { type: 'slow' } }))
  await cluster.lab.removeContainer(box)
  await assertKernelIsModel(cluster, HOST)
})

/** A container in the place of another, whose namespace has another number: the kernel likes to give one again. */
async function madeAnew({ lab }: Cluster, former: LabContainer): Promise<LabContainer> {
  const { ino } = statSync(former.pin)
  await lab.removeContainer(former)
  for (let i = 0; ; i++) {
    const next = await lab.container(HOST, former.name)
    if (statSync(next.pin).ino !== ino) return next
    await lab.removeContainer(next)
    await lab.container(HOST, `filler${i}`)
  }
}

withHost('what is lost without a DEL is found, also after a reboot', async (cluster) => {
  await prepare(cluster)
  await restart(cluster, HOST)
  const [lost, ended] = await cluster.lab.containers(HOST, ['lost', 'ended'])
  assert.ok(lost !== undefined && ended !== undefined)
  await done(call(cluster, 'ADD', lost, { runtimeConfig: { ips: ['10.70.0.50'] } }))
  await done(call(cluster, 'ADD', ended, { runtimeConfig: { ips: ['10.70.0.51'] } }))
  await cluster.lab.removeContainer(lost)
  await until('it is taken back', async () => (await endpoints(cluster)) === 1, LOST_MS)
  // A container of the same name comes back before anybody has looked: nothing stands in its way.
  await cluster.endDaemon(HOST, 'SIGTERM')
  const again = await madeAnew(cluster, ended)
  await shell(cluster, HOST, 'rm -rf /run/carrick')
  await restart(cluster, HOST)
  const stdout = await done(call(cluster, 'ADD', again, { runtimeConfig: { ips: ['10.70.0.51'] } }))
  assert.match(stdout, /"10\.70\.0\.51\/24"/)
  assert.ok(await pings(cluster, again))
  await done(call(cluster, 'DEL', again))
  await cluster.lab.removeContainer(again)
  await assertKernelIsModel(cluster, HOST)
})

withHost('a MAC that another plug-in gives behind us is followed', async (cluster) => {
  await prepare(cluster)
  await restart(cluster, HOST)
  const box = await cluster.lab.container(HOST, 'box')
  await done(call(cluster, 'ADD', box))
  const tuned = await cluster.lab.runIn(box, [
    ...['ip', 'link', 'set', 'eth0', 'mtu', '1300', 'address', '0a:00:00:00:00:28'],
  ])
  assert.equal(tuned.exitCode, 0, tuned.stderr)
  await until('the container is heard again', () => pings(cluster, box))
  await done(call(cluster, 'DEL', box))
  await cluster.lab.removeContainer(box)
  await assertKernelIsModel(cluster, HOST)
})

withHost(
  'of equal ADDs at one time one wins; a taken interface name is refused',
  async (cluster) => {
    await prepare(cluster)
    await restart(cluster, HOST)
    const box = await cluster.lab.container(HOST, 'box')
    const answers = await Promise.all(Array.from({ length: 4 }, () => call(cluster, 'ADD', box)))
    assert.deepEqual(answers.map(({ exitCode }) => exitCode).sort(), [0, 1, 1, 1])
    assert.equal(await endpoints(cluster), 1)
    assert.ok(await pings(cluster, box))
    const dummy = await cluster.lab.runIn(box, [
      ...'ip link add net1 type veth peer name net1p'.split(' '),
    ])
    assert.equal(dummy.exitCode, 0, dummy.stderr)
    const { exitCode, stdout } = await call(cluster, 'ADD', box, {}, 'net1')
    assert.equal(exitCode, 1)
    assert.match(stdout, /it has one of that name already/)
    assert.match((await cluster.lab.runIn(box, ['ip', '-br', 'link'])).stdout, /net1@net1p/)
    await done(call(cluster, 'DEL', box))
    await done(call(cluster, 'DEL', box, {}, 'net1'))
    await cluster.lab.removeContainer(box)
    await assertKernelIsModel(cluster, HOST)
  },
)
