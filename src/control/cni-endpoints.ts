/**
 * Endpoints that CNI runtimes bring into being: attaches like all others, each known by what its runtime calls it.
 * A runtime may kill its call and ask for the opposite at once, so that what is under way is waited for.
 */

import { NetworkError } from '../lib/errors.ts'
import { CNI_LABELS } from '../model/cni.ts'
import type { Endpoint } from '../model/endpoint.ts'
import { ENGINE_LABELS } from '../model/engine-network.ts'
import { endpointKey } from '../model/keys.ts'
import type { Mac } from '../net/mac.ts'
import type { Journal } from '../store/journal/journal.ts'
import type { Attacher } from './attacher.ts'
import type { CniAttachment, CniAttachSpec } from './cni-control.ts'
import { attachmentKey, attachmentOf, type CniIndex } from './cni-index.ts'
import type { AttachedEndpoint, AttachSpec } from './control.ts'
import type { NameIndex } from './name-index.ts'
import type { Networks } from './networks.ts'

export interface CniEndpointsDeps {
  readonly journal: Journal
  readonly index: CniIndex
  readonly attacher: Attacher
  readonly networks: Networks
  readonly names: NameIndex
  /** Takes the endpoint with this id away. */
  readonly detach: (endpointId: string) => Promise<void>
}

type Attach = (spec: CniAttachSpec) => Promise<AttachedEndpoint>

export class CniEndpoints {
  readonly #deps: CniEndpointsDeps
  /** What is under way, by attachment. */
  readonly #attaching = new Map<string, Promise<AttachedEndpoint>>()
  readonly #detaching = new Map<string, Promise<void>>()

  constructor(deps: CniEndpointsDeps) {
    this.#deps = deps
  }

  async attach(
    attachment: CniAttachment,
    work: (attach: Attach) => Promise<AttachedEndpoint>,
  ): Promise<AttachedEndpoint> {
    const key = attachmentKey(attachment)
    // Who comes second waits for what comes of the first: it may be given up.
    for (;;) {
      const before = this.#detaching.get(key) ?? this.#attaching.get(key)
      if (before === undefined) break
      await before.catch(() => undefined)
    }
    const other = this.#deps.index.find(attachment)
    if (other !== undefined) throw standing(attachment, other)
    const attach: Attach = (spec) => this.#deps.attacher.attach(this.#specOf(spec))
    const made = work(attach).finally(() => this.#attaching.delete(key))
    this.#attaching.set(key, made)
    return made
  }

  async detach(
    attachment: CniAttachment,
    after: (stood: Endpoint | undefined) => Promise<void> = async () => {},
  ): Promise<void> {
    const key = attachmentKey(attachment)
    const before = this.#detaching.get(key)
    const leave = async (): Promise<void> => {
      await before?.catch(() => undefined)
      await this.#attaching.get(key)?.catch(() => undefined)
      const endpoint = this.#deps.index.find(attachment)
      if (endpoint !== undefined) await this.#deps.detach(endpoint.id)
      await after(endpoint)
    }
    const left = leave().finally(() => {
      if (this.#detaching.get(key) === left) this.#detaching.delete(key)
    })
    this.#detaching.set(key, left)
    await left
  }

  followMac(endpointId: string, mac: Mac): void {
    const endpoint = this.#deps.index.get(endpointId)
    if (endpoint === undefined || endpoint.mac === mac) return
    const value = JSON.stringify({ ...endpoint, mac })
    this.#deps.journal.commit([{ kind: 'put', key: endpointKey(endpoint), value }])
  }

  list(network?: string): readonly Endpoint[] {
    const all = [...this.#deps.index.all()].sort((a, b) => (a.id < b.id ? -1 : 1))
    if (network === undefined) return all
    return all.filter(({ labels }) => labels[CNI_LABELS.network] === network)
  }

  stale(
    network: string,
    valid: readonly Pick<CniAttachment, 'container' | 'ifname'>[],
    until: number,
  ): readonly CniAttachment[] {
    const kept = new Set(valid.map((each) => attachmentKey({ ...each, network })))
    return this.list(network).flatMap((endpoint) => {
      const attachment = attachmentOf(endpoint)
      if (attachment === undefined || kept.has(attachmentKey(attachment))) return []
      return Date.parse(endpoint.createdAt) > until ? [] : [attachment]
    })
  }

  #specOf(spec: CniAttachSpec): AttachSpec {
    const { attachment, preferredName, names = [], ...rest } = spec
    const { networks, names: taken } = this.#deps
    const network = networks.get(spec.network)
    // From here to the claim of the name nothing else runs.
    const name =
      preferredName !== undefined && taken.isFree(network.id, preferredName)
        ? preferredName
        : undefined
    const further = [...new Set([preferredName, ...names])].filter(
      (each) => each !== undefined && each !== name,
    )
    return {
      ...rest,
      ifname: attachment.ifname,
      ...(name === undefined ? {} : { name }),
      ownLabels: {
        [CNI_LABELS.network]: attachment.network,
        [CNI_LABELS.container]: attachment.container,
        [CNI_LABELS.ifname]: attachment.ifname,
        ...(further.length === 0 ? {} : { [ENGINE_LABELS.names]: further.join(',') }),
      },
    }
  }
}

function standing({ network, container, ifname }: CniAttachment, endpoint: Endpoint): NetworkError {
  const { id, addresses } = endpoint
  return new NetworkError(
    'already-exists',
    `Cannot attach ${ifname} of container ${container} to CNI network ${network}: it already exists, with ${addresses.join(' and ')}`,
    {
      details: { network, container, endpoint: id },
      hint: 'DEL it first; a runtime must not ADD one attachment twice',
    },
  )
}
