/** Podman and containerd beside a daemon of ours, with one list of ours where they look for networks. */

import assert from 'node:assert/strict'
import { ContainerdEngine, containerdProblem } from '../../../src/lab/containerd-engine.ts'
import { CriClient } from '../../../src/lab/cri-client.ts'
import type { Lab } from '../../../src/lab/lab.ts'
import { PodmanEngine, podmanProblem } from '../../../src/lab/podman-engine.ts'
import { TYPE } from './plugin.ts'
import { CAPABILITIES, NETWORK } from './stage.ts'

export const LISTS = '/etc/cni/net.d'

/** Writes a list as runtimes read it: in place at once, by rename. */
export async function writeList(
  lab: Lab,
  host: string,
  name = NETWORK,
  links: readonly object[] = [{ type: TYPE, capabilities: CAPABILITIES }],
): Promise<void> {
  const list = { cniVersion: '1.0.0', name, plugins: links }
  const path = `${LISTS}/10-${name}.conflist`
  const script = `mkdir -p ${LISTS} && cat > ${LISTS}/.new && mv ${LISTS}/.new ${path}`
  const { exitCode, stderr } = await lab.run(host, ['sh', '-c', script], {
    input: JSON.stringify(list),
  })
  assert.equal(exitCode, 0, stderr)
}

export async function startPodman(lab: Lab, host: string): Promise<PodmanEngine> {
  const problem = podmanProblem()
  if (problem !== undefined) throw new Error(problem)
  return await PodmanEngine.start(lab, host, { backend: 'cni' })
}

export async function startContainerd(lab: Lab, host: string): Promise<ContainerdEngine> {
  const problem = containerdProblem()
  if (problem !== undefined) throw new Error(problem)
  return await ContainerdEngine.start(lab, host)
}

/** A pod as kubelet asks for it, in the lab's control group. */
export function podOf(engine: ContainerdEngine, name: string, more: object = {}) {
  const uid = '9d0c1e2a-1111-2222-3333-444455556666'
  return { name, namespace: 'team-ns', uid, cgroupParent: engine.cgroupParent, ...more }
}

export function criOf(engine: ContainerdEngine): CriClient {
  return new CriClient(engine.socket)
}
