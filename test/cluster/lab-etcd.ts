/** An etcd of the operator's own inside a lab. */

import type { ChildProcess } from 'node:child_process'
import type { Cluster } from '../../src/lab/cluster.ts'
import { shell, until } from './harness.ts'

/** A single member on the host's underlay address; its data outlive it. */
export async function startEtcd(cluster: Cluster, url: string): Promise<ChildProcess> {
  const peer = url.replace('2379', '2380')
  const child = cluster.lab.spawn(
    'h1',
    [
      ...['etcd', '--name', 'm0', '--data-dir', '/run/etcd'],
      ...['--listen-client-urls', url, '--advertise-client-urls', url],
      ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
      ...['--initial-cluster', `m0=${peer}`],
    ],
    { stdio: 'ignore' },
  )
  await until('etcd answers', async () => {
    const ask = `ETCDCTL_API=3 etcdctl --endpoints=${url} --command-timeout=1s get x`
    return await shell(cluster, 'h1', ask).then(
      () => true,
      () => false,
    )
  })
  return child
}
