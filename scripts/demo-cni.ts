/**
 * `npm run demo -- --cni`: two virtual hosts, and on one network a container of Docker, two of Podman, and two pods
 * as containerd makes them for Kubernetes. All call all by name. Ends clean, also after Ctrl-C. With --json the one
 * object on standard output holds the facts.
 */

import { setTimeout as pause } from 'node:timers/promises'
import { IMAGE as OCI_IMAGE } from '../src/lab/busybox-image.ts'
import { Cluster } from '../src/lab/cluster.ts'
import { ContainerdEngine, containerdProblem } from '../src/lab/containerd-engine.ts'
import { CriClient } from '../src/lab/cri-client.ts'
import { DockerEngine, engineProblem, IMAGE } from '../src/lab/docker-engine.ts'
import type { Lab } from '../src/lab/lab.ts'
import { PodmanEngine, podmanProblem } from '../src/lab/podman-engine.ts'
import { EXECUTABLE, runDemo } from './demo/engines.ts'
import type { Story } from './demo/story.ts'

const NETWORK = 'blue'
const SUBNETS = ['--subnet', '10.80.0.0/16', '--subnet', 'fd80::/48']
/** Where pods ask for names; kubelet would write it into each, as `clusterDNS` of its settings. */
const RESOLVER = '169.254.77.53'
const PATIENCE_MS = 30_000
/** A web server that says its name, and writes no file: a pod's sandbox cannot be written to. */
const ANSWER = `while read -r line && [ "$line" != "$(printf '\\r')" ]; do :; done
printf 'HTTP/1.0 200 OK\\r\\n\\r\\n%s\\n' "$0"`
const SERVE = ['nc', '-ll', '-p', '80', '-e', 'sh', '-c', ANSWER]

interface Facts {
  ok: boolean
  members: { readonly name: string; readonly runtime: string; readonly host: string }[]
  calls: { readonly from: string; readonly to: string; readonly ok: boolean }[]
  publishedPorts: { readonly from: string; readonly ok: boolean }[]
  refusedWhileAttached: boolean
  reachedWhileDaemonWasGone: boolean
  removedWhileDaemonWasGone: boolean
  goneEverywhere: boolean
  leftovers: readonly string[]
  problems: string[]
}

/** One container that serves its name at port 80. */
interface Member {
  readonly name: string
  readonly runtime: 'Docker' | 'Podman' | 'containerd'
  readonly host: string
  /** What a command in it prints; empty when it fails. */
  exec(...argv: readonly string[]): Promise<string>
  remove(): Promise<void>
}

interface World {
  readonly cluster: Cluster
  readonly docker: DockerEngine
  readonly podman: Readonly<Record<string, PodmanEngine>>
  readonly containerd: Readonly<Record<string, ContainerdEngine>>
}

/** Tells the story, cleans up and ends the process. */
export async function demoCni(json: boolean): Promise<never> {
  const facts: Facts = {
    ok: false,
    members: [],
    calls: [],
    publishedPorts: [],
    refusedWhileAttached: false,
    reachedWhileDaemonWasGone: false,
    removedWhileDaemonWasGone: false,
    goneEverywhere: false,
    leftovers: [],
    problems: [],
  }
  const problem = engineProblem() ?? podmanProblem() ?? containerdProblem()
  return await runDemo({ json, problem, facts, isFine }, async (lab, story) => {
    const world = await startHosts(lab, story)
    await showNetwork(world, story)
    const members = await showMembers(world, story, facts)
    await showCalls(members, story, facts)
    await showOutside(world, story, facts)
    await showAbsence(world, members, story, facts)
    await showEnd(world, members, story, facts)
  })
}

async function startHosts(lab: Lab, story: Story): Promise<World> {
  story.title('Two hosts, one cluster; Podman and containerd on both, Docker on one')
  const cluster = new Cluster(lab, EXECUTABLE)
  const podman: Record<string, PodmanEngine> = {}
  const containerd: Record<string, ContainerdEngine> = {}
  for (const { name: host } of lab.hosts) {
    cluster.startDaemon(host)
    await cluster.settled(host)
    if (host !== 'h1') {
      await cluster.join(host, 'h1', `${lab.hosts[0]?.underlay[0].ip}:7441`)
      await cluster.settled(host)
    }
  }
  // dockerd would take a containerd that runs already for its own.
  const docker = await DockerEngine.start(lab, 'h1')
  for (const { name: host } of lab.hosts) {
    podman[host] = await PodmanEngine.start(lab, host, { backend: 'cni' })
    containerd[host] = await ContainerdEngine.start(lab, host)
  }
  const versions = [
    `dockerd ${await docker.docker('version', '--format', '{{.Server.Version}}')}`,
    (await in_(podman, 'h1').podman('--version')).replace(' version', ''),
    `containerd ${/^Server:\s+Version:\s+(\S+)/m.exec(await in_(containerd, 'h1').ctr('version'))?.[1]}`,
  ]
  story.say(versions.join(', '))
  return { cluster, docker, podman, containerd }
}

async function showNetwork({ cluster, docker }: World, story: Story): Promise<void> {
  story.title('One network, made once, and where runtimes look for it')
  const create = ['network', 'create', '-d', 'carrick', '--ipam-driver', 'carrick', '--ipv6']
  story.command(`docker ${[...create, ...SUBNETS, NETWORK].join(' ')}   # on h1`)
  await docker.docker(...create, ...SUBNETS, NETWORK)
  for (const { name: host } of cluster.lab.hosts) {
    await until(`${host} knows the network by its name`, async () => {
      return (await cluster.run(host, 'network', 'get', NETWORK)).exitCode === 0
    })
    story.command(`carrick cni install   # on ${host}`)
    story.show(await cluster.carrick(host, 'cni', 'install'))
  }
}

async function showMembers(world: World, story: Story, facts: Facts): Promise<Member[]> {
  story.title('Containers of every kind, on both hosts')
  const members = [
    await startInDocker(world, story, 'web'),
    await startInPodman(world, story, { name: 'db', host: 'h1', flags: ['-p', '8080:80'] }),
    await startPod(world, story, 'api', 'h1'),
    await startInPodman(world, story, {
      ...{ name: 'worker', host: 'h2', flags: ['--ip', '10.80.0.9'] },
    }),
    await startPod(world, story, 'cron', 'h2'),
  ]
  facts.members = members.map(({ name, runtime, host }) => ({ name, runtime, host }))
  const { cluster } = world
  for (const { name: host } of cluster.lab.hosts) {
    await until(`${host} knows them all by their names`, async () => {
      const { items } = await cluster.json<{ items: { metadata: { name?: string } }[] }>(
        ...([host, 'endpoint', 'ls'] as const),
      )
      const labelled = JSON.stringify(items)
      return items.length === members.length && members.every(({ name }) => labelled.includes(name))
    })
    await cluster.settled(host)
  }
  story.command('carrick endpoint ls   # on h2')
  story.show(await cluster.carrick('h2', 'endpoint', 'ls'))
  return members
}

async function startInDocker({ docker }: World, story: Story, name: string): Promise<Member> {
  const argv = ['run', '-d', '--name', name, '--network', NETWORK, '--dns', RESOLVER]
  story.command(`docker ${argv.join(' ')} …   # on h1`)
  await docker.docker(...argv, IMAGE, ...SERVE, name)
  return {
    ...{ name, runtime: 'Docker', host: docker.host },
    exec: async (...command) => (await docker.run('exec', name, ...command)).stdout.trim(),
    remove: async () => void (await docker.docker('rm', '-f', name)),
  }
}

async function startInPodman(
  { podman }: World,
  story: Story,
  { name, host, flags }: { name: string; host: string; flags: readonly string[] },
): Promise<Member> {
  const engine = in_(podman, host)
  const argv = ['run', '-d', '--name', name, '--network', NETWORK, ...flags]
  story.command(`podman --network-backend cni ${argv.join(' ')} …   # on ${host}`)
  await engine.podman(...argv, OCI_IMAGE, ...SERVE, name)
  return {
    ...{ name, runtime: 'Podman', host },
    exec: async (...command) => (await engine.run('exec', name, ...command)).stdout.trim(),
    remove: async () => void (await engine.podman('rm', '--force', '--time', '0', name)),
  }
}

/** As kubelet asks for it; its one container is the sandbox itself. */
async function startPod(
  { containerd }: World,
  story: Story,
  name: string,
  host: string,
): Promise<Member> {
  const engine = in_(containerd, host)
  using cri = new CriClient(engine.socket)
  story.command(
    `RunPodSandbox {name: ${name}, namespace: shop}   # of containerd’s CRI, on ${host}`,
  )
  const id = await cri.runPodSandbox({
    ...{ name, namespace: 'shop', uid: `${name}-${process.pid}` },
    cgroupParent: engine.cgroupParent,
    dns: { servers: [RESOLVER], searches: [], options: [] },
  })
  let serial = 0
  const exec = async (...command: readonly string[]): Promise<string> => {
    const argv = ['tasks', 'exec', '--exec-id', `demo-${name}-${serial++}`, id, ...command]
    return (await engine.run('--namespace', 'k8s.io', ...argv)).stdout.trim()
  }
  exec(...SERVE, name).catch(() => undefined) // it ends with the pod
  return {
    ...{ name, runtime: 'containerd', host, exec },
    async remove() {
      using again = new CriClient(engine.socket)
      await again.stopPodSandbox(id)
      await again.removePodSandbox(id)
    },
  }
}

async function showCalls(members: readonly Member[], story: Story, facts: Facts): Promise<void> {
  story.title('All call all, by name')
  for (const { name, exec } of members) {
    await until(`${name} serves`, async () => (await get(exec, '127.0.0.1')) === name)
  }
  for (const from of members) {
    const answers: string[] = []
    for (const to of members.filter(({ name }) => name !== from.name)) {
      const ok = (await get(from.exec, to.name)) === to.name
      facts.calls.push({ from: from.name, to: to.name, ok })
      answers.push(`${ok ? '' : 'not '}${to.name} (${to.runtime}, ${to.host})`)
    }
    const ok = facts.calls.every((call) => call.from !== from.name || call.ok)
    story.check(ok, `${from.name} (${from.runtime}, ${from.host}) reaches ${answers.join(', ')}`)
  }
  const [first, ...others] = members
  const far = others.find(({ host }) => host !== first?.host)
  if (first === undefined || far === undefined) return
  story.command(`wget -qO- http://${first.name}.${NETWORK}/   # in ${far.name}`)
  story.show(await get(far.exec, `${first.name}.${NETWORK}`))
}

async function showOutside({ cluster }: World, story: Story, facts: Facts): Promise<void> {
  story.title('A published port')
  const address = cluster.lab.hosts[0]?.underlay[0].ip
  for (const [from, at] of [
    ['h2', address],
    ['h1', '127.0.0.1'],
  ] as const) {
    const argv = ['timeout', '5', 'busybox', 'wget', '-qO-', `http://${at}:8080/`]
    const { stdout } = await cluster.lab.run(from, argv)
    const ok = stdout.trim() === 'db'
    facts.publishedPorts.push({ from, ok })
    story.check(ok, `http://${at}:8080/ asked from ${from} is db`)
  }
  story.command('carrick publish ls')
  story.show(await cluster.carrick('h1', 'publish', 'ls'))
}

/** What runtimes ask for while there is no daemon waits for it. */
async function showAbsence(
  { cluster }: World,
  members: Member[],
  story: Story,
  facts: Facts,
): Promise<void> {
  story.title('The daemon of h2 is killed, and a container leaves meanwhile')
  const [web, worker, cron] = ['web', 'worker', 'cron'].map((wanted) =>
    members.find(({ name }) => name === wanted),
  )
  if (web === undefined || worker === undefined || cron === undefined) {
    throw new Error('the demo has these members')
  }
  const [, address = ''] =
    /(10\.80\.\S+?)\//.exec(await web.exec('ip', '-o', '-4', 'addr', 'show', 'eth0')) ?? []
  await cluster.killDaemon('h2')
  const reached = (await get(cron.exec, address)) === 'web'
  facts.reachedWhileDaemonWasGone = reached
  story.check(reached, `cron on h2 reaches web on h1 at ${address} all the same`)
  story.command('podman rm --force worker   # on h2')
  await worker.remove()
  members.splice(members.indexOf(worker), 1)
  cluster.startDaemon('h2')
  await cluster.settled('h2')
  await until('the address of worker is free again', async () => {
    return !(await cluster.carrick('h1', 'endpoint', 'ls')).includes('10.80.0.9')
  })
  facts.removedWhileDaemonWasGone = true
  story.check(true, 'worker has gone everywhere, once the daemon was back')
}

async function showEnd(
  { cluster, docker }: World,
  members: readonly Member[],
  story: Story,
  facts: Facts,
): Promise<void> {
  story.title('Taken down')
  story.command('carrick cni uninstall   # on h1')
  const { exitCode, stderr } = await cluster.run('h1', 'cni', 'uninstall')
  facts.refusedWhileAttached = exitCode === 4
  story.show(stderr)
  for (const { remove } of members) await remove()
  for (const { name: host } of cluster.lab.hosts) {
    await until(`nothing of ${host} is attached`, async () => {
      return (await cluster.carrick(host, 'endpoint', 'ls', '-q')) === ''
    })
    story.command(`carrick cni uninstall   # on ${host}`)
    story.show(await cluster.carrick(host, 'cni', 'uninstall'))
  }
  await docker.docker('network', 'rm', NETWORK)
  await until('the network has gone', async () => {
    const lists = await Promise.all(
      ['network', 'endpoint', 'publish'].map((noun) => cluster.carrick('h2', noun, 'ls', '-q')),
    )
    return lists.join('') === ''
  })
  facts.goneEverywhere = true
  story.check(true, 'the network has gone, with every endpoint, address and port')
}

/** What a container gets from there; empty when nothing. */
function get(exec: Member['exec'], name: string): Promise<string> {
  return exec('timeout', '5', 'wget', '-qO-', `http://${name}/`)
}

function in_<T>(engines: Readonly<Record<string, T>>, host: string): T {
  const engine = engines[host]
  if (engine === undefined) throw new Error(`no engine on ${host}`)
  return engine
}

function isFine(facts: Facts): boolean {
  return (
    facts.problems.length === 0 &&
    facts.members.length === 5 &&
    facts.calls.length === 20 &&
    facts.calls.every(({ ok }) => ok) &&
    facts.publishedPorts.length === 2 &&
    facts.publishedPorts.every(({ ok }) => ok) &&
    facts.refusedWhileAttached &&
    facts.reachedWhileDaemonWasGone &&
    facts.removedWhileDaemonWasGone &&
    facts.goneEverywhere &&
    facts.leftovers.length === 0
  )
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + PATIENCE_MS; !(await holds()); await pause(50)) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`)
  }
}
