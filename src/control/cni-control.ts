/**
 * The use cases of CNI runtimes. An attachment is found by what the runtime calls it, never by our ids: the
 * endpoint's labels carry that, so that it outlives the daemon, and nothing else remembers it.
 */

import type { Endpoint } from '../model/endpoint.ts'
import type { Network } from '../model/network.ts'
import type { Mac } from '../net/mac.ts'
import type { AttachedEndpoint, AttachPart, AttachTarget } from './control.ts'
import type { Inspector, KernelShapes } from './sandbox-view.ts'

/** One interface of one container in one network, as the runtime calls them. */
export interface CniAttachment {
  /** Name of the runtime's network, which need not be that of ours. */
  readonly network: string
  readonly container: string
  readonly ifname: string
}

export interface CniAttachSpec
  extends Omit<AttachPart, 'ifname'>,
    Pick<AttachTarget, 'labels' | 'publish' | 'movePorts' | 'signal' | 'delegate'> {
  readonly attachment: CniAttachment
  readonly netns: string
  /** Becomes the endpoint's name where nobody in the network has it; otherwise it has none. */
  readonly preferredName?: string
  /** Names that resolve to it besides its own. */
  readonly names?: readonly string[]
}

export interface CniControl {
  /**
   * Makes the endpoint of an attachment and waits for the kernel. Throws `already-exists` when it stands, and leaves
   * that one alone; of equal requests at the same time one wins.
   */
  attachCni(spec: CniAttachSpec): Promise<AttachedEndpoint>
  /**
   * The same with more to do before or behind it: `work` attaches by the function it is handed, and is not called at
   * all where `already-exists` is thrown.
   */
  attachCniWith(
    attachment: CniAttachment,
    work: (attach: (spec: CniAttachSpec) => Promise<AttachedEndpoint>) => Promise<AttachedEndpoint>,
  ): Promise<AttachedEndpoint>
  /**
   * Takes an attachment away, wherever its namespace is; content when there is none. One that is being made goes when
   * it is there. `after` is called behind that, with what stood, before the attachment can be made again.
   */
  detachCni(
    attachment: CniAttachment,
    after?: (stood: Endpoint | undefined) => Promise<void>,
  ): Promise<void>
  /** A plug-in behind ours gave its interface another MAC; content when the endpoint is gone. */
  followMac(endpointId: string, mac: Mac): void
  /** The endpoint of an attachment that stands on this host. */
  cniEndpoint(attachment: CniAttachment): Endpoint | undefined
  /** Those of a container on this host, of all its networks. */
  cniEndpointsOf(container: string): readonly Endpoint[]
  /** Those of the runtime's network on this host, or all. */
  cniEndpoints(network?: string): readonly Endpoint[]
  /** Those of the runtime's network that are not named and were made before `until`, in milliseconds since 1970. */
  staleCni(
    network: string,
    valid: readonly Pick<CniAttachment, 'container' | 'ifname'>[],
    until: number,
  ): readonly CniAttachment[]
  /** Why no endpoint could be attached to the network now, as far as this host knows by itself; or undefined. */
  obstacle(network: Network): string | undefined
  /** Why the kernel does not have a thing of this host as it should; or undefined. */
  failureOf(kind: 'endpoint' | 'publication', id: string): string | undefined
  readonly inspector: Inspector
  readonly shapes: KernelShapes
}
