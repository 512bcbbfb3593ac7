/** Rows 38 to 40: the same by real runtimes; their own tests go further. */

import assert from 'node:assert/strict'
import { IMAGE } from '../../../../src/lab/busybox-image.ts'
import { criOf, podOf, startContainerd, startPodman, writeList } from '../runtimes.ts'
import { HOST, NETWORK, type Stage } from '../stage.ts'
import type { Row } from './row.ts'

export const runtimes: readonly Row[] = [
  {
    number: 38,
    title: 'podman run, network connect, disconnect and reload',
    async run({ cluster: { lab } }) {
      await writeList(lab, HOST)
      const engine = await startPodman(lab, HOST)
      const published = ['--network', NETWORK, '-p', '18081:80']
      const shown = await engine.podman('run', '--rm', ...published, IMAGE, 'ip', 'addr')
      assert.match(shown, /eth0.*inet 10\.99\.0\.\d+\/24/s)
      await engine.podman('run', '-d', '--name', 'stays', ...published, IMAGE)
      const addr = () => engine.podman('exec', 'stays', 'ip', 'addr')
      const own = /inet (10\.99\.0\.\d+)\/24/.exec(await addr())?.[1]
      await engine.podman('network', 'reload', 'stays')
      assert.ok((await addr()).includes(`${own}/24`), 'it keeps its address')
      await engine.podman('network', 'disconnect', NETWORK, 'stays')
      assert.doesNotMatch(await addr(), /eth0/)
      await engine.podman('network', 'connect', NETWORK, 'stays')
      assert.match(await addr(), /inet 10\.99\.0\.\d+\/24/)
      await engine.stop()
    },
  },
  {
    number: 39,
    title: 'ctr run --rm --cni',
    async run(stage) {
      const engine = await containerd(stage)
      const shown = await engine.ctr('run', '--rm', '--cni', IMAGE, 't1', 'ip', 'addr')
      assert.match(shown, /eth0.*inet 10\.99\.0\.\d+\/24.*inet6 fd99:/s)
      await engine.stop()
    },
  },
  {
    number: 40,
    title: 'a pod by the CRI: run, stopped twice, removed',
    async run(stage) {
      const engine = await containerd(stage)
      using cri = criOf(engine)
      const id = await cri.runPodSandbox(podOf(engine, 'pod-a'))
      const { ready, addresses } = await cri.podSandboxStatus(id)
      assert.equal(ready, true)
      assert.match(addresses.join(' '), /^10\.99\.0\.\d+ fd99:\S+$/)
      await cri.stopPodSandbox(id)
      await cri.stopPodSandbox(id)
      await cri.removePodSandbox(id)
      await engine.stop()
    },
  },
]

async function containerd({ cluster: { lab } }: Stage) {
  await writeList(lab, HOST)
  return await startContainerd(lab, HOST)
}
