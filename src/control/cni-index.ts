/** The attachments of CNI runtimes on this host, by what the runtimes call them. */

import { CNI_LABELS } from '../model/cni.ts'
import type { Endpoint } from '../model/endpoint.ts'
import type { CniAttachment } from './cni-control.ts'
import type { EndpointChange, OwnEndpoints } from './own-endpoints.ts'

export class CniIndex implements Disposable {
  readonly #endpoints = new Map<string, Endpoint>()
  /** Ids of endpoints by their attachments. */
  readonly #ids = new Map<string, string>()
  /** Ids of endpoints by their containers. */
  readonly #containers = new Map<string, ReadonlySet<string>>()
  readonly #stop: () => void

  constructor(own: OwnEndpoints) {
    this.#stop = own.follow((change) => this.#changed(change))
  }

  [Symbol.dispose](): void {
    this.#stop()
  }

  find(attachment: CniAttachment): Endpoint | undefined {
    return this.#endpoints.get(this.#ids.get(attachmentKey(attachment)) ?? '')
  }

  get(id: string): Endpoint | undefined {
    return this.#endpoints.get(id)
  }

  /** Those of one container, of all its networks. */
  ofContainer(container: string): readonly Endpoint[] {
    const ids = [...(this.#containers.get(container) ?? [])]
    return ids.flatMap((id) => this.#endpoints.get(id) ?? [])
  }

  all(): Iterable<Endpoint> {
    return this.#endpoints.values()
  }

  #changed({ before, after }: EndpointChange): void {
    if (before !== undefined) this.#forget(before)
    const attachment = after && attachmentOf(after)
    if (after === undefined || attachment === undefined) return
    this.#endpoints.set(after.id, after)
    this.#ids.set(attachmentKey(attachment), after.id)
    const { container } = attachment
    const others = this.#containers.get(container) ?? []
    this.#containers.set(container, new Set([...others, after.id]))
  }

  #forget(endpoint: Endpoint): void {
    this.#endpoints.delete(endpoint.id)
    const attachment = attachmentOf(endpoint)
    if (attachment === undefined) return
    const key = attachmentKey(attachment)
    if (this.#ids.get(key) === endpoint.id) this.#ids.delete(key)
    const left = new Set(this.#containers.get(attachment.container))
    left.delete(endpoint.id)
    if (left.size > 0) this.#containers.set(attachment.container, left)
    else this.#containers.delete(attachment.container)
  }
}

/** What the runtime calls it; undefined for an endpoint that no CNI runtime made. */
export function attachmentOf({ labels }: Pick<Endpoint, 'labels'>): CniAttachment | undefined {
  const network = labels[CNI_LABELS.network]
  const container = labels[CNI_LABELS.container]
  const ifname = labels[CNI_LABELS.ifname]
  if (network === undefined || container === undefined || ifname === undefined) return undefined
  return { network, container, ifname }
}

/** None of the three may contain a space. */
export function attachmentKey({ network, container, ifname }: CniAttachment): string {
  return `${network} ${container} ${ifname}`
}
