/**
 * `carrick cni install` beside a containerd that runs already: it sees the list at once, stumbles over what sorts
 * before, and goes blind when its directory is made anew. What `cni status` says of that is what mends it.
 */

import assert from 'node:assert/strict'
import type { Cluster } from '../../src/lab/cluster.ts'
import type { ContainerdEngine } from '../../src/lab/containerd-engine.ts'
import { assertRefused, sharedCluster, shell, until } from '../cluster/harness.ts'
import { criOf, LISTS, podOf, startContainerd } from './cni/runtimes.ts'

const withHost = sharedCluster({ hosts: 1 })
let containerd: ContainerdEngine | undefined

withHost('containerd sees the list as soon as it is installed', async (cluster) => {
  await shell(cluster, 'h1', `rm -rf ${LISTS} && mkdir -p ${LISTS}`)
  containerd = await startContainerd(cluster.lab, 'h1')
  await assert.rejects(runPod('early'), /cni plugin not initialized/)
  assertRefused(await cluster.run('h1', 'cni', 'install'), 3, 'there is no network yet')
  await cluster.carrick('h1', 'network', 'create', 'blue', '--subnet', '10.80.0.0/16')
  const said = await cluster.carrick('h1', 'cni', 'install')
  assert.match(said, /^link .*\n(link .*\n)*write .*10-carrick\.conflist/)
  await until('a pod starts', () => startsPod('first'))
  assert.deepEqual(await problems(cluster), [])
  assert.equal(await cluster.carrick('h1', 'cni', 'install'), 'everything is installed already\n')
})

withHost('a second network stands behind the first one', async (cluster) => {
  await cluster.carrick('h1', 'network', 'create', 'red', '--subnet', '10.81.0.0/16')
  assertRefused(await cluster.run('h1', 'cni', 'install'), 2, 'there are blue, red')
  await cluster.carrick('h1', 'cni', 'install', '--network', 'red')
  await until('a pod starts', () => startsPod('second', /^10\.80\./))
  await cluster.carrick('h1', 'cni', 'uninstall', '--network', 'red')
  await cluster.carrick('h1', 'network', 'rm', 'red')
})

withHost(
  'a list of another that sorts before ours is told of, and so is one that is broken',
  async (cluster) => {
    const other = '{"cniVersion":"1.0.0","name":"other","plugins":[{"type":"ptp"}]}'
    await shell(
      cluster,
      'h1',
      `echo '${other}' > ${LISTS}/05-other.conflist; echo '{' > ${LISTS}/06-broken.conflist`,
    )
    const [broken, first, ...more] = await problems(cluster)
    assert.match(broken ?? '', /^06-broken\.conflist cannot be read/)
    assert.match(first ?? '', /^05-other\.conflist \(other\) sorts before 10-carrick\.conflist/)
    assert.deepEqual(more, [])
    await shell(cluster, 'h1', `rm ${LISTS}/05-other.conflist ${LISTS}/06-broken.conflist`)
    await until('a pod starts', () => startsPod('third'))
  },
)

withHost(
  'a directory that was made anew is told of, until containerd is started again',
  async (cluster) => {
    const script = `cp -a ${LISTS} ${LISTS}.x && rm -rf ${LISTS} && mv ${LISTS}.x ${LISTS}`
    await shell(cluster, 'h1', script)
    await until('it is told of', async () => {
      const [blind] = await problems(cluster)
      return /^containerd \(process \d+\) does not watch \/etc\/cni\/net\.d/.test(blind ?? '')
    })
    await engine().stop()
    await engine().launch()
    await until('a pod starts', () => startsPod('fourth'))
    assert.deepEqual(await problems(cluster), [])
  },
)

withHost('the list stays while a pod needs it, and its end ends everything', async (cluster) => {
  const id = await runPod('last')
  assertRefused(await cluster.run('h1', 'cni', 'uninstall'), 4, 'last is attached by it')
  await stopPod(id)
  await cluster.carrick('h1', 'cni', 'uninstall')
  const left = await shell(cluster, 'h1', `ls -A ${LISTS}; ls /opt/cni/bin | grep carrick || :`)
  assert.equal(left, '')
  await until('no pod starts any more', async () => !(await startsPod('none')))
  assert.equal(await cluster.carrick('h1', 'endpoint', 'ls', '-q'), '')
})

function engine(): ContainerdEngine {
  if (containerd === undefined) throw new Error('containerd did not start')
  return containerd
}

async function runPod(name: string): Promise<string> {
  using cri = criOf(engine())
  return await cri.runPodSandbox(podOf(engine(), name))
}

async function stopPod(id: string): Promise<void> {
  using cri = criOf(engine())
  await cri.stopPodSandbox(id)
  await cri.removePodSandbox(id)
}

/** True when a pod can be made, and ended; its address is then as expected. */
async function startsPod(name: string, address = /^10\./): Promise<boolean> {
  let id: string
  try {
    id = await runPod(name)
  } catch {
    return false // there is no list, or containerd has not seen it yet
  }
  using cri = criOf(engine())
  const { addresses } = await cri.podSandboxStatus(id)
  await stopPod(id)
  assert.match(addresses[0] ?? '', address)
  return true
}

async function problems(cluster: Cluster): Promise<readonly string[]> {
  const { status } = await cluster.json<{ status: { problems: { message: string }[] } }>(
    ...(['h1', 'cni', 'status'] as const),
  )
  return status.problems.map(({ message }) => message)
}
