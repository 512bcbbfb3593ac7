/**
 * What an ADD asks of control: the call's variables and configuration, held against the network. Pure. A network has
 * its properties from whoever made it, so that a configuration that contradicts them is told how to change it.
 */

import type { CniAttachSpec } from '../../control/cni-control.ts'
import type { PortWish } from '../../control/control.ts'
import { POD_LABELS } from '../../model/cni.ts'
import type { Bandwidth, EndpointRoute } from '../../model/endpoint.ts'
import { isName, labelProblem } from '../../model/names.ts'
import type { Network } from '../../model/network.ts'
import type { Publication } from '../../model/publication.ts'
import { familyOf } from '../../net/ip.ts'
import { prefixLength } from '../../net/prefix.ts'
import type { AttachConfig } from './attach-config.ts'
import type { PortMapping } from './capabilities.ts'
import type { CniConfig } from './config.ts'
import type { CniEnvironment } from './environment.ts'
import { CNI_CODE, cniError } from './errors.ts'
import { areasOf } from './ranges.ts'
import type { CniResult, CniRoute } from './result.ts'

export interface AttachRequest {
  readonly environment: CniEnvironment
  readonly config: CniConfig
  readonly asked: AttachConfig
  readonly network: Network
  /** What the IPAM plug-in gave; undefined: addresses are ours to give. */
  readonly given: CniResult | undefined
  /** Ports that lead to other interfaces of the same container. */
  readonly published: readonly Publication[]
}

/** Labels and values that would make a record too large for the store are left out. */
const MOST_LABEL_BYTES = 16 * 1024
/** linux/rtnetlink.h RT_TABLE_MAIN */
const MAIN_TABLE = 254
const GLOBAL_SCOPE = 0

/** Throws codes 2 and 7. */
export function attachSpecOf(request: AttachRequest): CniAttachSpec {
  const { environment, config, asked, network, given, published } = request
  refuseContradictions(asked, network)
  const { containerId: container, ifname, netns } = environment
  const { mac, mtuBytes, pod, rangeSets } = asked
  const addresses = given === undefined ? asked.addresses : given.ips
  const within = given === undefined ? areasOf(network, rangeSets) : []
  const { routes, defaultRoute } = routesOf(request)
  const bandwidth = bandwidthOf(asked)
  const preferredName = pod.name === undefined ? undefined : nameIn(pod.name)
  return {
    attachment: { network: config.name, container, ifname },
    ...{ network: network.id, netns },
    addresses: addresses.map(({ address }) => address),
    ...(given === undefined ? {} : { families: given.ips.map(({ address }) => familyOf(address)) }),
    ...(within.length === 0 ? {} : { within }),
    ...(mac === undefined ? {} : { mac }),
    ...(mtuBytes === undefined ? {} : { mtuBytes }),
    ...(bandwidth === undefined ? {} : { bandwidth }),
    routes,
    ...(defaultRoute ? {} : { noDefaultRoute: true }),
    ...(preferredName === undefined ? {} : { preferredName }),
    names: namesOf(asked),
    labels: labelsOf(asked),
    publish: portWishes(asked.portMappings, published),
  }
}

function refuseContradictions({ ipMasq }: AttachConfig, network: Network): void {
  const { name, masquerade, internal } = network
  if (ipMasq === undefined || internal || ipMasq === masquerade) return
  const [is, flag] = masquerade ? ['is', '--no-masquerade'] : ['is not', '--masquerade']
  throw cniError(
    CNI_CODE.INVALID_CONFIG,
    `Cannot attach with ipMasq ${ipMasq}: network ${name} ${is} masqueraded, on all hosts and for all its containers`,
    { hint: `carrick network set ${name} ${flag}   # or leave ipMasq out` },
  )
}

/** Tells one that asks for a larger MTU than packets of the network may have; throws code 7. */
export function refuseMtu(asked: number | undefined, most: number, { name }: Network): void {
  if (asked === undefined || asked <= most) return
  throw cniError(
    CNI_CODE.INVALID_CONFIG,
    `Cannot attach with an MTU of ${asked}: network ${name} carries packets of ${most} bytes`,
    { hint: 'leave mtu out, and it is what fits' },
  )
}

/**
 * Every route leads by the gateway, because that is where the network's packets are looked at; another next hop of
 * the network would be passed by. An IPAM plug-in that lists routes has listed all of them.
 */
function routesOf({ asked, given, network }: AttachRequest): {
  readonly routes: readonly EndpointRoute[]
  readonly defaultRoute: boolean
} {
  const listed = [...asked.routes, ...(given?.routes ?? [])]
  const everything = listed.filter(({ to }) => prefixLength(to) === 0)
  const routes = listed.flatMap((route) => routeOf(route, network, given) ?? [])
  const complete = given !== undefined && given.routes.length > 0
  const defaultRoute = asked.isDefaultGateway ?? (complete ? everything.length > 0 : true)
  return { routes, defaultRoute: defaultRoute || everything.some(isPlain) }
}

/** Undefined for the plain default route, which is no route of its own. */
function routeOf(
  route: CniRoute,
  network: Network,
  given: CniResult | undefined,
): EndpointRoute | undefined {
  const { to, via, mtuBytes, advmssBytes, priority, table, scope } = route
  const gateways = [...network.gateways, ...(given?.ips.map(({ gateway }) => gateway) ?? [])]
  if (via !== undefined && !gateways.includes(via)) {
    throw cniError(
      CNI_CODE.UNSUPPORTED_FIELD,
      `Cannot make a route to ${to} by ${via}: in network ${network.name} every route leads by its gateway, ${network.gateways.join(' or ')}`,
      { hint: 'leave gw out of the route' },
    )
  }
  if (scope !== undefined && scope !== GLOBAL_SCOPE) {
    throw cniError(
      CNI_CODE.UNSUPPORTED_FIELD,
      `Cannot make a route to ${to} of scope ${scope}: every route leads by the gateway, so its scope is 0`,
      { hint: 'leave scope out of the route' },
    )
  }
  if (prefixLength(to) === 0 && isPlain(route)) return undefined
  return {
    to,
    ...(priority === undefined ? {} : { metric: priority }),
    ...(table === undefined || table === MAIN_TABLE || table === 0 ? {} : { table }),
    ...(mtuBytes === undefined ? {} : { mtuBytes }),
    ...(advmssBytes === undefined ? {} : { advmssBytes }),
  }
}

/** True for a route as the network makes its own. */
function isPlain({ mtuBytes, advmssBytes, priority, table }: CniRoute): boolean {
  return [mtuBytes, advmssBytes, priority, table].every((value) => value === undefined)
}

function bandwidthOf({ bandwidth }: AttachConfig): Bandwidth | undefined {
  const { toContainer, fromContainer } = bandwidth
  return toContainer === undefined && fromContainer === undefined ? undefined : bandwidth
}

/** The nearest thing to `text` that can name an endpoint; undefined when nothing of it can. */
export function nameIn(text: string): string | undefined {
  const name = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '')
  return isName(name) ? name : undefined
}

/** Names besides that of the endpoint; what cannot be one of DNS is passed over there. */
function namesOf({ pod, aliases }: AttachConfig): readonly string[] {
  const { name, namespace } = pod
  const ofPod = name === undefined ? [] : [name]
  const qualified = name === undefined || namespace === undefined ? [] : [`${name}.${namespace}`]
  // A comma would be several names where it is kept.
  return [...ofPod, ...qualified, ...aliases].filter((each) => /^[^,\s]+$/.test(each))
}

/** What can be labels of ours, among what the pod and the user said of the container. */
function labelsOf({ labels, annotations, pod }: AttachConfig): Readonly<Record<string, string>> {
  const found = new Map<string, string>()
  let bytes = 0
  const ofPod = [
    [POD_LABELS.name, pod.name],
    [POD_LABELS.namespace, pod.namespace],
    [POD_LABELS.uid, pod.uid],
  ] as const
  for (const [key, value] of [
    ...ofPod,
    ...Object.entries(labels),
    ...Object.entries(annotations),
  ]) {
    if (value === undefined || found.has(key) || labelProblem(key, value) !== undefined) continue
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value)
    if (bytes > MOST_LABEL_BYTES) break
    found.set(key, value)
  }
  return Object.fromEntries(found)
}

/**
 * Podman asks every network of a container for all its ports: those that another of its interfaces has are left out.
 * Ports in a row are one range, because each publication is a record.
 */
export function portWishes(
  mappings: readonly PortMapping[],
  published: readonly Publication[],
): readonly PortWish[] {
  const wishes: { -readonly [K in keyof PortWish]: PortWish[K] }[] = []
  const sorted = mappings
    .filter((mapping) => !published.some((other) => leadsThere(other, mapping)))
    .sort(
      (a, b) =>
        compare(a.protocol, b.protocol) ||
        compare(a.hostIp ?? '', b.hostIp ?? '') ||
        a.hostPort - b.hostPort,
    )
  for (const { protocol, hostIp, hostPort, containerPort } of sorted) {
    const last = wishes.at(-1)
    const count = last?.count ?? 0
    if (
      last?.protocol === protocol &&
      last.hostAddress === hostIp &&
      (last.hostPort ?? 0) + count === hostPort &&
      last.containerPort + count === containerPort
    ) {
      last.count = count + 1
      continue
    }
    const place = hostIp === undefined ? {} : { hostAddress: hostIp }
    wishes.push({ protocol, ...place, hostPort, containerPort, count: 1 })
  }
  return wishes
}

/** True when the mapping is one of those the publication stands for. */
function leadsThere(
  publication: Publication,
  { protocol, hostIp, ...ports }: PortMapping,
): boolean {
  const offset = ports.hostPort - publication.hostPort
  return (
    publication.protocol === protocol &&
    publication.hostAddress === hostIp &&
    offset >= 0 &&
    offset < publication.count &&
    publication.containerPort + offset === ports.containerPort
  )
}

function compare(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
