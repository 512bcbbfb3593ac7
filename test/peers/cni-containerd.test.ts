/** containerd: by `ctr`, and by the interface that Kubernetes uses. */

import assert from 'node:assert/strict'
import { IMAGE } from '../../src/lab/busybox-image.ts'
import type { ContainerdEngine } from '../../src/lab/containerd-engine.ts'
import type { CriClient } from '../../src/lab/cri-client.ts'
import { addressOf, shell, until } from '../cluster/harness.ts'
import { criOf, podOf, startContainerd, writeList } from './cni/runtimes.ts'
import { HOST, NETWORK, type Stage, sharedStage } from './cni/stage.ts'

const withStage = sharedStage()
/** A sandbox may write nowhere else. */
const SERVE = 'mkdir /dev/www; echo -n pod > /dev/www/index.html; exec httpd -f -p 80 -h /dev/www'
let started: ContainerdEngine | undefined

function withContainerd(
  name: string,
  body: (engine: ContainerdEngine, stage: Stage) => Promise<void>,
): void {
  withStage(name, async (stage) => {
    if (started === undefined) {
      await writeList(stage.cluster.lab, HOST)
      started = await startContainerd(stage.cluster.lab, HOST)
    }
    await body(started, stage)
  })
}

/** A pod that is there for as long as the body runs. */
async function withPod(
  engine: ContainerdEngine,
  name: string,
  more: object,
  body: (pod: { id: string; cri: CriClient; addresses: readonly string[] }) => Promise<void>,
): Promise<void> {
  using cri = criOf(engine)
  const id = await cri.runPodSandbox(podOf(engine, name, more))
  try {
    const { addresses } = await cri.podSandboxStatus(id)
    await body({ id, cri, addresses })
  } finally {
    using last = criOf(engine) // the engine may be another one
    await last.stopPodSandbox(id)
    await last.removePodSandbox(id)
  }
}

/** Runs a command in the sandbox itself. */
async function inPod(engine: ContainerdEngine, id: string, ...argv: readonly string[]) {
  const exec = ['tasks', 'exec', '--exec-id', `x${performance.now()}`, id, ...argv]
  return await engine.run('--namespace', 'k8s.io', ...exec)
}

withContainerd('a container of ctr has both families, and gives them back', async (engine) => {
  const script = 'ip addr show eth0; ip route; ip -6 route; ping -c1 -W2 10.99.0.1'
  const shown = await engine.ctr('run', '--rm', '--cni', IMAGE, 't1', 'sh', '-c', script)
  assert.match(shown, /inet 10\.99\.0\.\d+\/24.*inet6 fd99:\S+\/64/s)
  assert.match(shown, /default via 10\.99\.0\.1.*default via fd99:0:0:1::1/s)
  assert.match(shown, / 0% packet loss/)
})

withContainerd('a pod has an address of each family, ports and a name', async (engine, stage) => {
  const { lab } = stage.cluster
  const ports = [
    { protocol: 'tcp', hostPort: 18100, containerPort: 80 },
    { protocol: 'udp', hostPort: 18153, containerPort: 53, hostIp: '127.0.0.1' },
  ]
  await withPod(engine, 'pod-a', { ports }, async ({ id, addresses }) => {
    assert.match(addresses.join(' '), /^10\.99\.0\.\d+ fd99:\S+$/)
    const serving = inPod(engine, id, 'sh', '-c', SERVE)
    const url = `http://${addressOf(lab, HOST)}:18100/`
    await until('it serves', async () => {
      return (await lab.run('h2', ['curl', '-s', '-m', '2', url])).stdout === 'pod'
    })
    assert.equal(await shell(stage.cluster, HOST, 'curl -s -m 2 http://127.0.0.1:18100/'), 'pod')
    assert.match(await stage.cluster.carrick(HOST, 'publish', 'ls'), /127\.0\.0\.1 +18153 +udp/)
    await withPod(engine, 'pod-b', {}, async ({ id: other }) => {
      // This wget’s own limit needs what no sandbox has.
      const argv = ['timeout', '5', 'wget', '-qO-', `http://${addresses[0]}/`]
      assert.equal((await inPod(engine, other, ...argv)).stdout, 'pod')
      const asked = await inPod(engine, other, 'nslookup', `pod-a.${NETWORK}`, '169.254.77.53')
      assert.ok(asked.stdout.includes(addresses[0] ?? 'an address'), asked.stdout)
    })
    void serving
  })
})

withContainerd('a pod is stopped twice and removed', async (engine, stage) => {
  await withPod(engine, 'pod-a', {}, async ({ id, cri }) => {
    assert.match(await stage.cluster.carrick(HOST, 'endpoint', 'ls'), /pod-a/)
    await cri.stopPodSandbox(id)
    assert.equal((await cri.podSandboxStatus(id)).ready, false)
    assert.doesNotMatch(await stage.cluster.carrick(HOST, 'endpoint', 'ls'), /pod-a/)
  })
})

withContainerd('names and limits that a pod asks for', async (engine, stage) => {
  const more = {
    dns: { servers: ['10.96.0.10'], searches: ['svc.cluster.local'], options: ['ndots:5'] },
    annotations: {
      'kubernetes.io/ingress-bandwidth': '10M',
      'kubernetes.io/egress-bandwidth': '20M',
      'example.org/note': 'hello',
    },
  }
  await withPod(engine, 'pod-a', more, async ({ id }) => {
    const shapers = await shell(stage.cluster, HOST, 'tc qdisc show')
    assert.match(shapers, /tbf .*rate 10Mbit/)
    const { stdout } = await inPod(engine, id, 'cat', '/etc/resolv.conf')
    assert.match(stdout, /nameserver 10\.96\.0\.10/)
  })
})

withContainerd('a pod whose port is taken is refused, and leaves nothing', async (engine) => {
  const ports = [{ protocol: 'tcp', hostPort: 18100, containerPort: 80 }]
  await withPod(engine, 'pod-a', { ports }, async ({ cri }) => {
    const second = cri.runPodSandbox(podOf(engine, 'pod-b', { ports }))
    await assert.rejects(second, /18100.*pod-a/)
  })
})

withContainerd('containerd is killed and started while a pod runs', async (engine) => {
  await withPod(engine, 'pod-a', {}, async ({ id }) => {
    await engine.kill()
    await engine.launch()
    using cri = criOf(engine)
    assert.equal((await cri.podSandboxStatus(id)).addresses.length, 2)
  })
})
