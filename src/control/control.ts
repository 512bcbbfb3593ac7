/**
 * The use cases, as front ends see them. They check, decide and write desired state; none touches the
 * kernel. Every call answers from local state where it can; what needs the shared store says `unavailable`
 * within its deadline when the store does not answer.
 */

import type { Delegate } from '../model/cni.ts'
import type { Bandwidth, Endpoint, EndpointRoute, PublishedEndpoint } from '../model/endpoint.ts'
import type { DockerSide } from '../model/engine-network.ts'
import type { Host, HostStatus, ObjectFailure } from '../model/host.ts'
import type { Carrier, Network, Opening } from '../model/network.ts'
import type { PathReport } from '../model/path.ts'
import type { Publication } from '../model/publication.ts'
import type { Family } from '../net/ip.ts'
import type { Prefix } from '../net/prefix.ts'
import type { AddressControl } from './address-control.ts'
import type { HostPorts } from './host-ports.ts'
import type { NetworkPatch } from './network-patch.ts'
import type { Caller } from './overlap.ts'
import type { Inspector, KernelShapes } from './sandbox-view.ts'

export interface NetworkSpec {
  readonly name: string
  /** Text as the user typed it: checked here, so that the error can say what would be right. Absent: chosen. */
  readonly subnets?: readonly string[]
  /** At most one per subnet; default: the first address of each. */
  readonly gateways?: readonly string[]
  readonly carrier?: Carrier
  readonly mtuBytes?: number
  /** Default false. */
  readonly internal?: boolean
  /** Default true. */
  readonly masquerade?: boolean
  /** Default: nothing. */
  readonly open?: readonly Opening[]
  readonly labels?: Readonly<Record<string, string>>
  /** Present: it is to appear on the engines of all members. */
  readonly docker?: DockerSide
  /** Create it though its subnets overlap routes, underlays or other networks; default false. */
  readonly force?: boolean
  /** Who asks: recorded when something was forced. */
  readonly by?: Caller
}

export interface ChangeOptions {
  /** Change it in spite of overlaps. */
  readonly force?: boolean
  /** Who asks: recorded when something was forced. */
  readonly by?: Caller
  /** The change is refused when this does not hold for the record as it is now. */
  readonly matches?: (network: Network) => boolean
}

export interface NetworkChange {
  readonly network: Network
  /** Sentences that the user should read: hosts that are away, an MTU that does not fit. */
  readonly notes: readonly string[]
}

/** One network of an attach. */
export interface AttachPart {
  /** Name or id of the network. */
  readonly network: string
  /** Wanted addresses, at most one per family; the others are chosen. */
  readonly addresses?: readonly string[]
  readonly mac?: string
  /** Default: the first of eth0, eth1, ... that no endpoint of this namespace has. */
  readonly ifname?: string
  /** True: its gateway becomes the default route. Default: that of the namespace's first network. */
  readonly defaultRoute?: boolean
  /** True: its gateway gives no default route at all. */
  readonly noDefaultRoute?: true
  /** Routes by its gateway besides those to the network itself. */
  readonly routes?: readonly EndpointRoute[]
  /** Of the interface; one that is not less than the network's says nothing. */
  readonly mtuBytes?: number
  readonly bandwidth?: Bandwidth
  /** Families in which it gets an address; default: all that the network has. */
  readonly families?: readonly Family[]
  /** Parts of the network in which addresses are chosen; one that was asked for need not be inside. */
  readonly within?: readonly Prefix[]
}

/** What an attach says besides its networks. */
export interface AttachTarget {
  /** Path of the namespace, or the process that lives in it: exactly one of the two. */
  readonly netns?: string
  readonly pid?: number
  readonly name?: string
  readonly labels?: Readonly<Record<string, string>>
  /** Labels that only this program sets; these are not checked. */
  readonly ownLabels?: Readonly<Record<string, string>>
  readonly delegate?: Delegate
  /** Ports to publish, for the network that gives the default route. */
  readonly publish?: readonly (string | PortWish)[]
  /**
   * Ids of publications of the namespace's other endpoints: they lead to the same network as `publish` from the commit
   * of the attach on, and back when it fails. Those that went meanwhile are passed over.
   */
  readonly movePorts?: readonly string[]
  /** Aborts when nobody waits for the answer any more: then what was made is taken back. */
  readonly signal?: AbortSignal
}

export interface AttachSpec extends AttachPart, AttachTarget {}

/** Several networks at once, in the order of their interfaces: all of them or none. */
export interface AttachAllSpec extends AttachTarget {
  readonly networks: readonly AttachPart[]
  /** Wanted addresses, each for the network whose prefix has it. */
  readonly addresses?: readonly string[]
}

/** A port to publish, or a range; as text it is `[ADDRESS:][HOSTPORT:]PORT[/PROTOCOL]`. */
export interface PortWish {
  /** `tcp`, `udp` or `sctp`; default `tcp`. */
  readonly protocol?: string
  /** Default: every address of the host, both families; `0.0.0.0` or `::`: those of one family. */
  readonly hostAddress?: string
  /** First port of the host; 0, which is the default, chooses free ones. */
  readonly hostPort?: number
  readonly containerPort: number
  /** How many ports in a row; default 1. */
  readonly count?: number
}

export interface PublishedPort {
  readonly publication: Publication
  /** Journal sequence at which it was settled. */
  readonly revision: number
}

export interface AttachedEndpoint {
  readonly endpoint: Endpoint
  readonly publications: readonly Publication[]
  /** Journal sequence at which it was settled. */
  readonly revision: number
}

/** A way to another host, which is named. */
export interface PathView extends PathReport {
  readonly hostName: string
}

export interface HostView {
  readonly host: Host
  /** True while its lease lives; says nothing about its traffic. */
  readonly alive: boolean
  readonly self: boolean
  readonly status: HostStatus | undefined
  /** What it found about its ways to others: as published, of this host as it is now. */
  readonly paths: readonly PathView[]
  readonly endpoints: number
}

export interface StatusView {
  readonly hostId: string
  readonly hostName: string
  readonly version: string
  readonly store: {
    readonly kind: 'embedded' | 'joined' | 'etcd'
    readonly address: string
    readonly connected: boolean
    readonly revision: number
  }
  readonly journalSequence: number
  readonly publishedSequence: number
  /** True when the kernel reflects everything known here. */
  readonly settled: boolean
  readonly networks: number
  readonly endpoints: { readonly local: number; readonly remote: number }
  /** Objects found missing or changed in the kernel and put right since the start, by kind. */
  readonly driftRepaired: Readonly<Record<string, number>>
  readonly failures: readonly ObjectFailure[]
  /** Sentences about the host that a user should read: missing kernel features, an expiring certificate. */
  readonly warnings: readonly string[]
}

export interface DropCount {
  readonly reason: string
  /** Absent for packets that could not be laid at one endpoint's door. */
  readonly endpointId?: string
  readonly endpointName?: string
  readonly network?: string
  readonly packets: number
  readonly bytes: number
}

export interface Token {
  readonly id: string
  /** The whole text to hand to `carrick join`; it is shown once. */
  readonly text: string
  readonly expiresAt: string
}

export interface Control extends AddressControl {
  createNetwork(spec: NetworkSpec): Promise<Network>
  /**
   * Makes a network that is in use different, without a packet lost that both states would deliver; throws
   * `conflict` when what there is does not allow it.
   */
  changeNetwork(
    reference: string,
    patch: NetworkPatch,
    options?: ChangeOptions,
  ): Promise<NetworkChange>
  listNetworks(): readonly Network[]
  /** By name, id or unique prefix of an id; throws `not-found`. */
  getNetwork(reference: string): Network
  /** `conflict`, with the hosts named, while endpoints use it. */
  removeNetwork(reference: string): Promise<void>

  attach(spec: AttachSpec): Promise<AttachedEndpoint>
  /** Attaches to several networks at once, all or none; in the order of `spec.networks`. */
  attachAll(spec: AttachAllSpec): Promise<readonly AttachedEndpoint[]>
  /** By id, unique prefix of an id, or name (within `network` if given). */
  detach(reference: string, network?: string): Promise<void>
  listEndpoints(filter?: {
    readonly network?: string
    readonly host?: string
  }): readonly (Endpoint | PublishedEndpoint)[]
  getEndpoint(reference: string, network?: string): Endpoint | PublishedEndpoint

  /** Publishes ports of an endpoint of this host; `endpoint` as in `detach`. */
  publish(endpoint: string, wish: string | PortWish, network?: string): Promise<PublishedPort>
  /** By id or unique prefix of an id. */
  unpublish(reference: string): Promise<void>
  listPublications(filter?: {
    readonly network?: string
    readonly host?: string
  }): readonly Publication[]
  getPublication(reference: string): Publication
  /** Those that lead to the endpoint with this whole id. */
  publicationsOf(endpointId: string): readonly Publication[]

  listHosts(): readonly HostView[]
  getHost(reference: string): HostView
  /** Operator's word that the host is gone: its records are removed, its blocks fenced and freed (R9). */
  removeHost(reference: string): Promise<void>

  createToken(options: { readonly ttlSeconds: number }): Promise<Token>
  status(): StatusView
  /** Resolves when everything known now is in the kernel; throws `timeout` naming what is not. */
  waitSettled(timeoutMs: number): Promise<StatusView>
  listDrops(options?: { readonly all?: boolean }): Promise<readonly DropCount[]>
}

/** Ports that other rooms implement and the composition root hands in. */
export interface Ports {
  /** Opens and keeps a namespace, so that a reused path or pid is noticed. */
  readonly sandboxes: {
    hold(target: { readonly netns: string } | { readonly pid: number }): {
      readonly path: string
      readonly inode: number
    }
    /** Lets go of what one `hold` kept; content when nothing is held. */
    release(inode: number): void
  }
  /** Holds ports of this host for publications. */
  readonly hostPorts: HostPorts
  readonly inspector: Inspector
  readonly shapes: KernelShapes
  readonly settler: {
    /**
     * Resolves when the kernel reflects this commit of the journal, with what failed on the way; commits
     * before it may still be under way. Throws `timeout` after `timeoutMs`.
     */
    settled(sequence: number, timeoutMs: number): Promise<readonly ObjectFailure[]>
    /** The same for every commit up to this one. */
    allSettled(sequence: number, timeoutMs: number): Promise<void>
  }
}
