/**
 * `setup` and `teardown`: a container comes into a network or leaves it. Netavark tears down nothing after a setup
 * that failed, so a failed one leaves nothing; and asks for a teardown as often as it likes.
 */

import { netavarkNetwork } from '../../cni/netavark-exchange.ts'
import type { CniControl } from '../../control/cni-control.ts'
import type { Control, PortWish } from '../../control/control.ts'
import { NetworkError } from '../../lib/errors.ts'
import { CNI_LABELS, POD_LABELS } from '../../model/cni.ts'
import type { Endpoint } from '../../model/endpoint.ts'
import { labelProblem } from '../../model/names.ts'
import type { Network } from '../../model/network.ts'
import { familyOf } from '../../net/ip.ts'
import { prefixContains, prefixLength } from '../../net/prefix.ts'
import { nameIn } from '../cni/attach-spec.ts'
import type { JsonObject } from '../cni/fields.ts'
import { precedenceOf } from '../cni/precedence.ts'
import { readEndpointOptions } from '../docker/options.ts'
import {
  type PodmanContainer,
  type PodmanNetwork,
  type PodmanPort,
  readContainer,
  type StatusBlock,
} from './messages.ts'
import { hasNoDefaultRoute, OWN_NAME } from './options.ts'

export interface ContainerDeps {
  readonly control: Pick<Control, 'getNetwork' | 'publicationsOf'> &
    Pick<CniControl, 'attachCni' | 'detachCni' | 'cniEndpointsOf' | 'shapes'>
}

/** Attaches, and says what the container has got. */
export async function setup(
  { control }: ContainerDeps,
  netns: string,
  object: JsonObject,
  gone: AbortSignal,
): Promise<StatusBlock> {
  const container = readContainer(object)
  const network = control.getNetwork(ownNameOf(container.network))
  const { name, labels } = readEndpointOptions(container.options)
  const hasRoute = !hasNoDefaultRoute(container.network.options)
  const preferredName = name ?? nameIn(container.name)
  const { endpoint } = await control.attachCni({
    attachment: attachmentOf(container),
    ...{ network: network.id, netns },
    labels: { ...podmanLabels(container), ...labels },
    ...(preferredName === undefined ? {} : { preferredName }),
    names: namesOf(container),
    addresses: container.addresses,
    ...(container.mac === undefined ? {} : { mac: container.mac }),
    ...(hasRoute ? {} : { noDefaultRoute: true as const }),
    ...(hasRoute ? precedenceOf(control, container.id, container.ifname, network) : {}),
    ...(container.network.routes.length === 0 ? {} : { routes: routesOf(network, container) }),
    publish: wishesOf(control, network, container),
    signal: gone,
  })
  return statusOf(endpoint, network, {
    ifname: container.ifname,
    resolvers: container.network.dns ? control.shapes.resolvers : [],
  })
}

/** Content when nothing is there. */
export async function teardown({ control }: ContainerDeps, object: JsonObject): Promise<void> {
  await control.detachCni(attachmentOf(readContainer(object)))
}

function attachmentOf({ id, ifname, network }: PodmanContainer) {
  return { network: netavarkNetwork(network.name), container: id, ifname }
}

function ownNameOf({ name, options }: PodmanNetwork): string {
  return options[OWN_NAME] ?? options['carrick.name'] ?? name
}

/** As Podman says it to CNI: by this label its containers are known for holding their ports themselves. */
function podmanLabels({ name }: PodmanContainer): Readonly<Record<string, string>> {
  if (name === '' || labelProblem(POD_LABELS.name, name) !== undefined) return {}
  return { [POD_LABELS.name]: name }
}

/** What it is looked up by besides; names with commas or blanks are none that anybody could ask for. */
function namesOf({ name, aliases }: PodmanContainer): readonly string[] {
  return [...new Set([name, ...aliases])].filter((each) => each !== '' && !/[,\s]/.test(each))
}

/** All routes lead by the network's gateway: `create` let no others through. */
function routesOf(network: Network, { network: { routes } }: PodmanContainer) {
  for (const { to, via } of routes) {
    if (via === undefined || network.gateways.includes(via)) continue
    throw new NetworkError(
      'unsupported',
      `Cannot lead ${to} by ${via}: routes lead by the network's gateway, ${network.gateways.join(' and ')}`,
    )
  }
  return routes.map(({ to, metric }) => ({ to, ...(metric === undefined ? {} : { metric }) }))
}

/**
 * Ports are the container's, and told with each of its networks: the first that leads outside publishes them, the
 * others find them published.
 */
function wishesOf(
  control: ContainerDeps['control'],
  network: Network,
  { id, ports }: PodmanContainer,
): readonly PortWish[] {
  if (network.internal || ports.length === 0) return []
  const published = new Set(
    control
      .cniEndpointsOf(id)
      .filter(({ labels }) => isOfNetavark(labels))
      .flatMap((endpoint) => control.publicationsOf(endpoint.id))
      .map(({ protocol, hostAddress = '', hostPort }) => `${protocol} ${hostAddress} ${hostPort}`),
  )
  return ports
    .flatMap(wishesIn)
    .filter(
      ({ protocol, hostAddress = '', hostPort }) =>
        !published.has(`${protocol} ${hostAddress} ${hostPort}`),
    )
}

function isOfNetavark(labels: Readonly<Record<string, string>>): boolean {
  return labels[CNI_LABELS.network]?.startsWith(netavarkNetwork('')) === true
}

/** One for each protocol: they come with commas between them. */
function wishesIn(port: PodmanPort): readonly PortWish[] {
  const { hostAddress, hostPort, containerPort, count } = port
  return port.protocol.split(',').map((protocol) => ({
    protocol: protocol.trim().toLowerCase(),
    ...(hostAddress === '' ? {} : { hostAddress }),
    ...{ hostPort, containerPort, count },
  }))
}

function statusOf(
  endpoint: Endpoint,
  network: Network,
  {
    ifname,
    resolvers,
  }: { ifname: string; resolvers: ContainerDeps['control']['shapes']['resolvers'] },
): StatusBlock {
  const families = new Set(endpoint.addresses.map(familyOf))
  return {
    dns_search_domains: [],
    dns_server_ips: resolvers.filter((address) => families.has(familyOf(address))).slice(0, 1),
    interfaces: {
      [ifname]: {
        mac_address: endpoint.mac,
        subnets: endpoint.addresses.flatMap((address) => {
          const at = network.prefixes.findIndex((prefix) => prefixContains(prefix, address))
          const [prefix, gateway] = [network.prefixes[at], network.gateways[at]]
          if (prefix === undefined) return []
          const subnet = { ipnet: `${address}/${prefixLength(prefix)}` }
          return [network.internal || gateway === undefined ? subnet : { ...subnet, gateway }]
        }),
      },
    },
  }
}
