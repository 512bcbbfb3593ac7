/** What endpoints carry that a CNI runtime brought into being: labels that only this program sets. */

/** An attachment is one interface of one container in one network, all as the runtime calls them. */
export const CNI_LABELS = {
  /** Name of the runtime's network, which need not be that of ours. */
  network: 'carrick/cni-network',
  container: 'carrick/cni-container',
  ifname: 'carrick/cni-ifname',
} as const

/** Who a container is to Kubernetes and to runtimes that speak like it. */
export const POD_LABELS = {
  name: 'io.kubernetes.pod.name',
  namespace: 'io.kubernetes.pod.namespace',
  uid: 'io.kubernetes.pod.uid',
} as const

/**
 * True for a container of Podman, which says its name and nothing else of a pod: it holds the ports it publishes by
 * sockets of its own, in the process that watches over the container.
 */
export function isPodmans(labels: Readonly<Record<string, string>>): boolean {
  return (
    labels[CNI_LABELS.container] !== undefined &&
    labels[POD_LABELS.name] !== undefined &&
    labels[POD_LABELS.namespace] === undefined
  )
}

/** The process of Podman's that holds a container's ports, by its name in the kernel. */
export const PODMANS_HOLDER = 'conmon'

/** The IPAM plug-in that gave an endpoint its addresses, and what it is told to take them back. */
export interface Delegate {
  /** Its name, looked for in `path`. */
  readonly type: string
  readonly path: readonly string[]
  /** Standard input: the configuration it knows the addresses by. */
  readonly config: string
  /** CNI_ARGS of the ADD. */
  readonly args: string
}
