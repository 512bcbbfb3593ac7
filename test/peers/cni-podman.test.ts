/** Podman with its CNI backend: what a user does with containers of one network of ours. */

import assert from 'node:assert/strict'
import { IMAGE } from '../../src/lab/busybox-image.ts'
import type { PodmanEngine } from '../../src/lab/podman-engine.ts'
import { addressOf, createNetwork, shell, until } from '../cluster/harness.ts'
import { startContainerd, startPodman, writeList } from './cni/runtimes.ts'
import { HOST, NETWORK, type Stage, sharedStage } from './cni/stage.ts'

const withStage = sharedStage()
/** A daemon looks for what was lost every ten seconds, and believes the second look. */
const LOST_MS = 60_000
let started: PodmanEngine | undefined

/** One Podman for all tests of this file; none leaves a container. */
function withPodman(
  name: string,
  body: (podman: PodmanEngine, stage: Stage) => Promise<void>,
): void {
  withStage(name, async (stage) => {
    if (started === undefined) {
      await createNetwork(stage.cluster, 'second', ['--subnet', '10.97.0.0/24'], [HOST])
      for (const network of [NETWORK, 'second']) await writeList(stage.cluster.lab, HOST, network)
      started = await startPodman(stage.cluster.lab, HOST)
      // What a host keeps for a network that was in use once.
      await started.podman('run', '--rm', '--network', 'second', IMAGE, 'true')
      await stage.accept()
    }
    try {
      await body(started, stage)
    } finally {
      await started.stop()
    }
  })
}

async function run(podman: PodmanEngine, name: string, ...flags: readonly string[]): Promise<void> {
  const network = flags.includes('--network') ? [] : ['--network', NETWORK]
  await podman.podman('run', '-d', '--name', name, ...network, ...flags, IMAGE)
}

/** Answers `name` over HTTP at port 80. */
async function serve(podman: PodmanEngine, name: string, ...flags: readonly string[]) {
  const script = `echo -n ${name} > /www/index.html && exec httpd -f -p 80 -h /www`
  await podman.podman(
    ...['run', '-d', '--name', name, '--network', NETWORK, ...flags, IMAGE],
    ...['sh', '-c', script],
  )
  await until(`${name} serves`, async () => {
    const asked = await podman.run('exec', name, 'wget', '-qO-', 'http://127.0.0.1/')
    return asked.exitCode === 0
  })
}

async function addressIn(podman: PodmanEngine, name: string, ifname = 'eth0'): Promise<string> {
  const shown = await podman.podman('exec', name, 'ip', '-4', 'addr', 'show', ifname)
  return /inet ([0-9.]+)\//.exec(shown)?.[1] ?? ''
}

withPodman('containers find each other by name, alias and short id', async (podman) => {
  await run(podman, 'one')
  await podman.podman(
    ...['run', '-d', '--name', 'two', '--network', `${NETWORK}:alias=db,alias=primary`, IMAGE],
  )
  const id = await podman.podman('inspect', '--format', '{{.Id}}', 'two')
  for (const name of ['two', 'db', 'primary', id.slice(0, 12), `two.${NETWORK}`]) {
    await podman.podman('exec', 'one', 'ping', '-c', '1', '-W', '2', name)
  }
  await podman.podman('exec', 'two', 'ping', '-c', '1', '-W', '2', 'one')
  assert.match(await podman.podman('exec', 'one', 'cat', '/etc/resolv.conf'), /169\.254\.77\.53/)
})

withPodman('an address, a MAC and published ports that are asked for', async (podman, stage) => {
  const { lab } = stage.cluster
  const network = `${NETWORK}:ip=10.99.0.55,ip6=fd99:0:0:1::55,mac=0a:00:00:00:00:55`
  const script = 'echo -n web > /www/index.html && exec httpd -f -p 80 -h /www'
  const ports = ['-p', '127.0.0.1:18080:80', '-p', '18081-18083:80-82', '-p', '18084:80/udp']
  await podman.podman(
    ...['run', '-d', '--name', 'web', '--network', network, ...ports, IMAGE, 'sh', '-c', script],
  )
  const shown = await podman.podman('exec', 'web', 'ip', 'addr', 'show', 'eth0')
  for (const part of ['10.99.0.55/24', 'fd99:0:0:1::55/64', '0a:00:00:00:00:55']) {
    assert.ok(shown.includes(part), shown)
  }
  const fetched = async (host: string, to: string) => {
    const { stdout } = await lab.run(host, ['curl', '-s', '-m', '2', `http://${to}/`])
    return stdout
  }
  await until('it serves', async () => (await fetched(HOST, '127.0.0.1:18080')) === 'web')
  assert.equal(await fetched('h2', `${addressOf(lab, HOST)}:18081`), 'web')
  assert.equal(await fetched('h2', `[${addressOf(lab, HOST, 6)}]:18081`), 'web')
  assert.equal(await fetched('h2', `${addressOf(lab, HOST)}:18080`), '')
  const listed = await stage.cluster.carrick(HOST, 'publish', 'ls')
  assert.match(listed, /18084 +udp/)
})

withPodman('a run that cannot have its address says which, and leaves nothing', async (podman) => {
  await run(podman, 'first', '--ip', '10.99.0.60')
  const argv = ['run', '--name', 'second', '--network', NETWORK, '--ip', '10.99.0.60', IMAGE]
  const { exitCode, stderr } = await podman.run(...argv)
  assert.equal(exitCode, 126, stderr)
  assert.match(stderr, /Cannot use 10\.99\.0\.60: endpoint first has it/)
  await podman.podman('exec', 'first', 'ping', '-c', '1', '-W', '2', '10.99.0.1')
})

withPodman('networks are joined and left while it runs', async (podman) => {
  await run(podman, 'one')
  await run(podman, 'two', '--network', 'second')
  const flags = ['--ip', '10.97.0.9', '--alias', 'zed']
  await podman.podman('network', 'connect', ...flags, 'second', 'one')
  assert.equal(await addressIn(podman, 'one', 'eth1'), '10.97.0.9')
  await podman.podman('exec', 'two', 'ping', '-c', '1', '-W', '2', 'zed')
  await podman.podman('exec', 'one', 'ping', '-c', '1', '-W', '2', 'two')
  await podman.podman('network', 'disconnect', NETWORK, 'one')
  const shown = await podman.podman('exec', 'one', 'ip', 'link')
  assert.ok(!shown.includes('eth0') && shown.includes('eth1'), shown)
  await podman.podman('network', 'connect', NETWORK, 'one')
  await podman.podman('exec', 'one', 'ping', '-c', '1', '-W', '2', '10.99.0.1')
})

withPodman('reload and restart keep ports and names', async (podman, stage) => {
  const fetched = () =>
    shell(stage.cluster, 'h2', `curl -s -m 2 http://${addressOf(stage.cluster.lab, HOST)}:18085/`)
  await serve(podman, 'web', '-p', '18085:80')
  await run(podman, 'asker')
  const before = await addressIn(podman, 'web')
  await podman.podman('network', 'reload', 'web')
  assert.equal(await addressIn(podman, 'web'), before)
  assert.equal(await fetched(), 'web')
  await podman.podman('restart', '--time', '0', 'web')
  await until('it serves again', async () => (await fetched().catch(() => '')) === 'web')
  const again = await addressIn(podman, 'web')
  const asked = await podman.podman('exec', 'asker', 'nslookup', `web.${NETWORK}`)
  assert.ok(asked.includes(again), asked)
})

withPodman('containers of a pod share what the pod has', async (podman, stage) => {
  const infra = ['--infra-image', IMAGE, '--infra-command', 'sleep 10000']
  const network = ['--network', NETWORK, '-p', '18087:80']
  await podman.podman('pod', 'create', '--name', 'pod', ...infra, ...network)
  const script = 'echo -n pod > /www/index.html && exec httpd -f -p 80 -h /www'
  await podman.podman('run', '-d', '--pod', 'pod', '--name', 'web', IMAGE, 'sh', '-c', script)
  await run(podman, 'asker')
  const url = `http://${addressOf(stage.cluster.lab, HOST)}:18087/`
  await until('it serves', async () => {
    return (await stage.cluster.lab.run('h2', ['curl', '-s', '-m', '2', url])).stdout === 'pod'
  })
  const { stdout } = await podman.run('exec', 'asker', 'wget', '-qO-', 'http://pod/')
  assert.equal(stdout, 'pod')
})

withPodman('what runtimes remove without a word is given back', async (podman, stage) => {
  const { lab } = stage.cluster
  await run(podman, 'lost', '-p', '18086:80', '--ip', '10.99.0.86')
  const format = '{{.NetworkSettings.SandboxKey}}'
  const netns = await podman.podman('inspect', '--format', format, 'lost')
  // Podman sends no DEL for a namespace that is gone, and ctr for none of a container in the background.
  await shell(stage.cluster, HOST, `umount -l ${netns} && rm ${netns}`)
  await podman.podman('rm', '--force', '--time', '0', 'lost')
  const containerd = await startContainerd(lab, HOST)
  await containerd.ctr('run', '-d', '--cni', IMAGE, 'behind')
  await containerd.remove('behind')
  await containerd.stop()
  const left = () => stage.cluster.carrick(HOST, 'endpoint', 'ls')
  await until('nothing is left', async () => !(await left()).includes('10.99.0.'), LOST_MS)
  await run(podman, 'next', '-p', '18086:80', '--ip', '10.99.0.86')
})

withPodman('many containers come and go at a time', async (podman) => {
  const names = Array.from({ length: 6 }, (_, i) => `many${i}`)
  await Promise.all(names.map((name) => run(podman, name)))
  const addresses = await Promise.all(names.map((name) => addressIn(podman, name)))
  assert.equal(new Set(addresses).size, names.length)
  await podman.podman('exec', 'many0', 'ping', '-c', '1', '-W', '2', 'many5')
})
