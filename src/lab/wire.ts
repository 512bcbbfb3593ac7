/**
 * The wire of a lab. A packet leaves a host by eth0, a veth whose other end is a port of a bridge in the
 * switch namespace; the bridge carries it to the other hosts' ports (`bridge`), or is itself the host's
 * gateway, and the namespace routes between such bridges (`routed`). In a `pair` the other end is simply the
 * other host's eth0. Taking a port out of its bridge cuts a host off in silence, as a broken path does.
 */

import type { Kernel, KernelView } from '../kernel/kernel.ts'
import { NetworkError } from '../lib/errors.ts'
import { pinsPath, SWITCH } from './paths.ts'
import { type HostSpec, type LabSpec, UPLINK } from './spec.ts'

const SEGMENT = 'wire'

/** Brings every host onto the wire: devices and addresses. The namespaces exist and are empty. */
export function joinHosts(kernel: Kernel, lab: LabSpec): void {
  if (lab.topology === 'pair') joinPair(kernel, lab)
  else joinSwitch(kernel, lab)
  for (const host of lab.hosts) inside(kernel, lab.name, host.name, (view) => configure(view, host))
}

/** Takes a host's port out of its bridge: nothing but packets is missing. A `pair` has no port: `unsupported`. */
export function cutHost(kernel: Kernel, lab: LabSpec, host: string): void {
  if (lab.topology === 'pair') {
    throw new NetworkError('unsupported', `Cannot cut off "${host}": a pair has no switch`)
  }
  inside(kernel, lab.name, SWITCH, (view) => view.links.set(host, { master: 0 }))
}

/** Undoes `cutHost`; content when the host is on the wire. */
export function healHost(kernel: Kernel, lab: LabSpec, host: string): void {
  if (lab.topology === 'pair') return
  inside(kernel, lab.name, SWITCH, (view) => {
    view.links.set(host, { master: indexOf(view, bridgeOf(lab, host)) })
  })
}

/** One end of a bare veth pair. */
export interface BareEnd {
  /** Path of the namespace's pin. */
  readonly netns: string
  readonly device: string
  /** With prefix length, of either family. */
  readonly addresses: readonly string[]
}

/**
 * True when every host has a way to its neighbours. A fresh carrier is noticed up to a second late, and until
 * then IPv6 has no route (net/core/link_watch.c).
 */
export function isWireReady(kernel: Kernel, lab: LabSpec): boolean {
  return lab.hosts.every(({ name, underlay }) => {
    const others = lab.hosts.flatMap((other) => other.underlay.map(({ ip }) => ip))
    const gateways = underlay.flatMap(({ gateway }) => gateway ?? [])
    const neighbours = gateways.length > 0 ? gateways : others
    return hasWays(kernel, `${pinsPath(lab.name, name)}/net`, neighbours)
  })
}

/** Gives every host a default route, once the wire is ready: daemons find their underlay by it. */
export function addDefaultRoutes(kernel: Kernel, lab: LabSpec): void {
  for (const host of lab.hosts) {
    inside(kernel, lab.name, host.name, (view) => {
      const device = indexOf(view, UPLINK)
      for (const { ip, gateway } of host.underlay) {
        const destination = ip.includes(':') ? '::/0' : '0.0.0.0/0'
        view.routes.put({ destination, device, ...(gateway === undefined ? {} : { gateway }) })
      }
    })
  }
}

/** True when a namespace has a route to every one of the addresses. */
export function hasWays(kernel: Kernel, netnsPath: string, addresses: readonly string[]): boolean {
  using netns = kernel.openNetns(netnsPath)
  return kernel.inNetns(netns, (view) =>
    addresses.every((address) => view.routes.lookup(address) !== undefined),
  )
}

/** Joins two namespaces by nothing but a veth pair: what every other path is measured against. */
export function joinBare(kernel: Kernel, left: BareEnd, right: BareEnd): void {
  using near = kernel.openNetns(left.netns)
  using far = kernel.openNetns(right.netns)
  kernel.inNetns(near, (view) => {
    view.links.createVeth({ name: left.device, peer: { name: right.device, netns: far } })
  })
  for (const [netns, end] of [
    [near, left],
    [far, right],
  ] as const) {
    kernel.inNetns(netns, (view) => {
      for (const text of end.addresses) {
        const [address = '', length = ''] = text.split('/')
        putAddress(view, end.device, address, Number(length))
      }
      view.links.set(end.device, { up: true })
    })
  }
}

/** Brings up the loopback device of a fresh namespace. */
export function startLoopback(kernel: Kernel, netnsPath: string): void {
  using netns = kernel.openNetns(netnsPath)
  kernel.inNetns(netns, (view) => view.links.set('lo', { up: true }))
}

function joinPair(kernel: Kernel, lab: LabSpec): void {
  const [left, right] = lab.hosts
  if (left === undefined || right === undefined) throw new Error('A pair has two hosts')
  using far = kernel.openNetns(`${pinsPath(lab.name, right.name)}/net`)
  const { mtuBytes } = lab
  inside(kernel, lab.name, left.name, (view) => {
    view.links.createVeth({ name: UPLINK, mtuBytes, peer: { name: UPLINK, mtuBytes, netns: far } })
  })
}

function joinSwitch(kernel: Kernel, lab: LabSpec): void {
  using netns = kernel.openNetns(`${pinsPath(lab.name, SWITCH)}/net`)
  const { mtuBytes } = lab
  kernel.inNetns(netns, (view) => {
    view.links.set('lo', { up: true })
    for (const host of lab.hosts) {
      const bridge = bridgeOf(lab, host.name)
      if (view.links.get(bridge) === undefined) view.links.createBridge({ name: bridge })
      using far = kernel.openNetns(`${pinsPath(lab.name, host.name)}/net`)
      view.links.createVeth({
        name: host.name,
        mtuBytes,
        master: indexOf(view, bridge),
        peer: { name: UPLINK, mtuBytes, netns: far },
      })
      view.links.set(host.name, { up: true })
      configureHop(view, lab, host, bridge)
    }
  })
}

/** The port takes what the wire carries; only what the router sends is bound by the hop's MTU. */
function configureHop(view: KernelView, lab: LabSpec, host: HostSpec, bridge: string): void {
  view.links.set(bridge, { mtuBytes: lab.hopMtuBytes, up: true })
  for (const { gateway, prefixLength } of host.underlay) {
    if (gateway !== undefined) putAddress(view, bridge, gateway, prefixLength)
  }
}

function configure(view: KernelView, host: HostSpec): void {
  view.links.set('lo', { up: true })
  for (const { ip, prefixLength } of host.underlay) putAddress(view, UPLINK, ip, prefixLength)
  view.links.set(UPLINK, { up: true })
}

function bridgeOf(lab: LabSpec, host: string): string {
  return lab.topology === 'routed' ? `to-${host}` : SEGMENT
}

function putAddress(view: KernelView, link: string, address: string, prefixLength: number): void {
  view.addresses.put({ device: indexOf(view, link), address, prefixLength, noDad: true })
}

function indexOf(view: KernelView, link: string): number {
  const found = view.links.get(link)
  if (found === undefined)
    throw new NetworkError('not-found', `Cannot find link "${link}" of the lab`)
  return found.index
}

function inside<T>(kernel: Kernel, lab: string, host: string, work: (view: KernelView) => T): T {
  using netns = kernel.openNetns(`${pinsPath(lab, host)}/net`)
  return kernel.inNetns(netns, work)
}
