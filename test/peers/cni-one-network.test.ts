/**
 * One network, and containers of Docker, Podman, containerd and a pod in it, on two hosts: all of them are
 * neighbours, whoever started them.
 */

import assert from 'node:assert/strict'
import { IMAGE as OCI_IMAGE } from '../../src/lab/busybox-image.ts'
import type { Cluster } from '../../src/lab/cluster.ts'
import type { ContainerdEngine } from '../../src/lab/containerd-engine.ts'
import { DockerEngine, engineProblem, IMAGE } from '../../src/lab/docker-engine.ts'
import type { PodmanEngine } from '../../src/lab/podman-engine.ts'
import type { RunResult } from '../../src/lab/processes.ts'
import { addressOf, sharedCluster, shell, until } from '../cluster/harness.ts'
import { criOf, podOf, startContainerd, startPodman } from './cni/runtimes.ts'
import { OURS } from './docker-harness.ts'

const HOSTS = ['h1', 'h2'] as const
const NETWORK = 'blue'
const SUBNETS = ['--subnet', '10.90.0.0/16', '--ipv6', '--subnet', 'fd90::/48'] as const
const RESOLVER = '169.254.77.53'
/** Longer than all tests take. */
const LONG_MS = 600_000

interface Member {
  readonly name: string
  readonly host: string
  /** Where its port 80 is published; `ctr` publishes nothing, and names nothing. */
  readonly port: number | undefined
  exec(...argv: readonly string[]): Promise<RunResult>
}

interface Host {
  readonly name: string
  readonly docker: DockerEngine
  readonly podman: PodmanEngine
  readonly containerd: ContainerdEngine
}

const withHosts = sharedCluster({ hosts: 2 })
const hosts: Host[] = []
const members: Member[] = []
const addresses = new Map<string, readonly string[]>()

/** A pod's sandbox may write nowhere else. */
const serving = (name: string) =>
  `mkdir /dev/www; echo -n ${name} > /dev/www/index.html; exec httpd -f -p 80 -h /dev/www`

withHosts('the engines of two hosts share a network', async (cluster) => {
  const problem = engineProblem()
  if (problem !== undefined) throw new Error(problem)
  for (const name of HOSTS) {
    const docker = await DockerEngine.start(cluster.lab, name, { flags: ['--dns', RESOLVER] })
    if (name === 'h1') await docker.docker(...OURS, ...SUBNETS, NETWORK)
    await until(`${name} knows the network`, async () => {
      return (await cluster.run(name, 'network', 'get', NETWORK)).exitCode === 0
    })
    await cluster.carrick(name, 'cni', 'install', '--network', NETWORK)
    const podman = await startPodman(cluster.lab, name)
    hosts.push({ name, docker, podman, containerd: await startContainerd(cluster.lab, name) })
  }
  for (const { name, docker } of hosts) {
    await until(`the engine of ${name} has the network`, async () => {
      return (await docker.run('network', 'inspect', NETWORK)).exitCode === 0
    })
  }
})

withHosts('containers of all kinds start in it', async (cluster) => {
  for (const host of hosts) members.push(...(await startAll(host)))
  for (const { name, exec } of members) {
    await until(`${name} serves`, async () => {
      return (await exec('wget', '-qO-', 'http://127.0.0.1/')).stdout === name
    })
    const { stdout } = await exec('ip', '-o', 'addr', 'show', 'eth0')
    const own = [...stdout.matchAll(/inet6? (\S+)\/\d+/g)].flatMap(([, address]) => address ?? [])
    addresses.set(
      name,
      own.filter((address) => !address.startsWith('fe80')),
    )
    assert.equal(addresses.get(name)?.length, 2, stdout)
  }
  assert.equal(new Set([...addresses.values()].flat()).size, 2 * members.length)
  for (const host of HOSTS) await knowsAll(cluster, host)
})

withHosts('every one reaches every other, by both families', async () => {
  const urls = members.flatMap(({ name }) =>
    (addresses.get(name) ?? []).map((address) => ({
      name,
      url: `http://${address.includes(':') ? `[${address}]` : address}/`,
    })),
  )
  const script = urls.map(({ url }) => `timeout 5 wget -qO- '${url}'; echo`).join('; ')
  for (const { name, exec } of members) {
    const { stdout } = await exec('sh', '-c', script)
    assert.equal(stdout, urls.map((each) => `${each.name}\n`).join(''), `from ${name}`)
  }
})

withHosts('every name is known to every one', async () => {
  const named = members.filter(({ port }) => port !== undefined)
  const script = named
    .map(({ name }) => `nslookup -type=a ${name}.${NETWORK}. ${RESOLVER} | tail -n 2`)
    .join('; ')
  const plain = named.map(({ name }) => `timeout 5 wget -qO- http://${name}/; echo`).join('; ')
  for (const { name, port, exec } of members) {
    const { stdout } = await exec('sh', '-c', script)
    for (const other of named) {
      assert.ok(stdout.includes(addresses.get(other.name)?.[0] ?? '?'), `${name}: ${stdout}`)
    }
    // Docker and Podman write our resolver, or their own that asks it; ctr writes nothing, a pod its cluster’s.
    if (port === undefined || name.startsWith('pod-')) continue
    const fetched = await exec('sh', '-c', plain)
    assert.equal(fetched.stdout, named.map((each) => `${each.name}\n`).join(''), `from ${name}`)
  }
})

withHosts('published ports of all lead to them from the other host', async (cluster) => {
  for (const { name, host, port } of members.filter((each) => each.port !== undefined)) {
    for (const from of HOSTS) {
      const url = `http://${addressOf(cluster.lab, host)}:${port}/`
      assert.equal(await shell(cluster, from, `curl -s -m 5 ${url}`), name, `${from} to ${url}`)
    }
  }
})

withHosts('a container of another network reaches none of them', async (cluster) => {
  const [first] = hosts
  if (first === undefined) throw new Error('no host')
  await cluster.carrick('h1', 'network', 'create', 'red', '--subnet', '10.91.0.0/16')
  await cluster.carrick('h1', 'cni', 'install', '--network', 'red')
  const { podman } = first
  await podman.podman('run', '-d', '--name', 'stranger', '--network', 'red', OCI_IMAGE)
  const all = [...addresses.values()].flat().join(' ')
  const script = `for to in ${all}; do (ping -c 1 -W 1 $to > /dev/null && echo $to) & done; wait`
  const { stdout } = await podman.run('exec', 'stranger', 'sh', '-c', script)
  assert.equal(stdout, '')
  await podman.podman('rm', '--force', '--time', '0', 'stranger')
})

withHosts(
  'they are shown side by side, and are gone when their engines say so',
  async (cluster) => {
    const table = await cluster.carrick('h2', 'endpoint', 'ls')
    for (const [name, own] of addresses) {
      const line = table
        .split('\n')
        .find((each) => each.includes(`${own[0]} `) || each.includes(`${own[0]},`))
      assert.ok(line !== undefined, `${name} at ${own[0]} in:\n${table}`)
      if (!name.startsWith('ctr-')) assert.ok(line.includes(name), line)
    }
    for (const { docker, podman, containerd, name } of hosts) {
      await docker.docker('rm', '-f', `docker-${name}`)
      await podman.stop()
      await containerd.run('tasks', 'kill', '--signal', 'SIGKILL', `ctr-${name}`)
      using cri = criOf(containerd)
      const id = pods.get(name) ?? ''
      await cri.stopPodSandbox(id)
      await cri.removePodSandbox(id)
    }
    await until('all are gone', async () => {
      const { items } = await cluster.json<{ items: unknown[] }>(
        ...(['h1', 'endpoint', 'ls'] as const),
      )
      return items.length === 0
    })
  },
)

const pods = new Map<string, string>()

/** One container of each kind, all of which serve their names. */
async function startAll({ name: host, docker, podman, containerd }: Host): Promise<Member[]> {
  const at = (name: string, port: number | undefined, exec: Member['exec']): Member => ({
    ...{ name, host, port, exec },
  })
  const [inDocker, inPodman, byCtr, pod] = ['docker', 'podman', 'ctr', 'pod'].map(
    (kind) => `${kind}-${host}`,
  ) as [string, string, string, string]
  const flags = ['-d', '--network', NETWORK, '-p']
  const command = (name: string) => ['sh', '-c', serving(name)]
  await docker.docker(
    ...['run', ...flags, '8081:80', '--name', inDocker, IMAGE, ...command(inDocker)],
  )
  await podman.podman(
    ...['run', ...flags, '8082:80', '--name', inPodman, OCI_IMAGE, ...command(inPodman)],
  )
  const foreground = ['run', '--rm', '--cni', OCI_IMAGE, byCtr, ...command(byCtr)]
  containerd.runWith({ timeoutMs: LONG_MS }, ...foreground).catch(() => {}) // it ends with the container
  using cri = criOf(containerd)
  const ports = [{ protocol: 'tcp', hostPort: 8083, containerPort: 80 }]
  const id = await cri.runPodSandbox(podOf(containerd, pod, { ports }))
  pods.set(host, id)
  const inPod: Member['exec'] = (...argv) => {
    const exec = ['tasks', 'exec', '--exec-id', `x${performance.now()}`, id, ...argv]
    return containerd.runWith({ timeoutMs: LONG_MS }, '--namespace', 'k8s.io', ...exec)
  }
  inPod('sh', '-c', serving(pod)).catch(() => {}) // it ends with the pod
  return [
    at(inDocker, 8081, (...argv) => docker.run('exec', inDocker, ...argv)),
    at(inPodman, 8082, (...argv) => podman.run('exec', inPodman, ...argv)),
    at(byCtr, undefined, (...argv) => containerd.exec(byCtr, ...argv)),
    at(pod, 8083, inPod),
  ]
}

async function knowsAll(cluster: Cluster, host: string): Promise<void> {
  await until(`${host} knows all`, async () => {
    const { items } = await cluster.json<{ items: unknown[] }>(
      ...([host, 'endpoint', 'ls'] as const),
    )
    return items.length === members.length
  })
  await cluster.settled(host)
}
