/**
 * The network driver's endpoints: one container's place in one network. The pair stands in the engine's namespace
 * when its creation is answered; the engine moves, names and addresses the container's end.
 */

import { NetworkError } from '../../lib/errors.ts'
import type { Endpoint } from '../../model/endpoint.ts'
import { ENGINE_LABELS, type EngineNetwork } from '../../model/engine-network.ts'
import type { Network } from '../../model/network.ts'
import { bitsOf, type Family, familyOf, type IP, parseIP } from '../../net/ip.ts'
import { parseMac } from '../../net/mac.ts'
import { type Prefix, prefixContains, prefixFamily, prefixLength } from '../../net/prefix.ts'
import type { EngineControl } from './engine-control.ts'
import type { Message } from './messages.ts'
import { interfacePrefix, readEndpointOptions } from './options.ts'
import { gatewayIn } from './pools.ts'
import { publishPorts, unpublishPorts } from './ports.ts'

/** Of `Join`'s routes. */
const VIA_NEXT_HOP = 0

type EndpointMessage = Message<'NetworkDriver.Leave'>

export class EngineEndpoints {
  readonly #control: EngineControl
  /** Where names are asked for; none where they are not served. */
  readonly #resolvers: readonly IP[]

  constructor(control: EngineControl, resolvers: readonly IP[]) {
    this.#control = control
    this.#resolvers = resolvers
  }

  /** Answers with what the engine left open; the same again has the same answer. */
  async create(message: Message<'NetworkDriver.CreateEndpoint'>): Promise<object> {
    const { EndpointID, Interface } = message
    const bound = this.#boundTo(message)
    const { name, labels } = readEndpointOptions(message.Options)
    const network = this.#control.getNetwork(bound.networkId)
    const addresses = [Interface.Address, Interface.AddressIPv6].flatMap(readAddress)
    const mac = Interface.MacAddress === '' ? undefined : Interface.MacAddress
    const areas = bound.pools.map(({ range, prefix }) => range ?? prefix)
    const { endpoint } = await this.#control.plug({
      network: network.id,
      addresses,
      // Without an IPAM driver nobody has chosen any.
      ...(addresses.length > 0 ? {} : { choose: familiesOf(network) }),
      ...(areas.length === 0 ? {} : { within: areas }),
      ...(mac === undefined ? {} : { mac }),
      ...(name === undefined ? {} : { name }),
      labels: { ...labels, [ENGINE_LABELS.endpoint]: EndpointID },
    })
    refuseOther(endpoint, message, network, { addresses, mac })
    return { Interface: answerOf(endpoint, network, message) }
  }

  /** There is nothing to tell: engines drop what they are told here. */
  operInfo(_message: EndpointMessage): object {
    return { Value: {} }
  }

  join(message: Message<'NetworkDriver.Join'>): object {
    const bound = this.#boundTo(message)
    const endpoint = this.#plugged(message)
    const network = this.#control.getNetwork(endpoint.networkId)
    const closed = network.internal || bound.internal
    const gateway = (family: Family): IP | undefined => gatewayOf(endpoint, network, family)
    const [gateway4, gateway6] = closed ? [] : [gateway(4), gateway(6)]
    const routes = closed ? this.#wayToResolver(endpoint, message.SandboxKey, gateway) : []
    return {
      InterfaceName: { SrcName: endpoint.ifname, DstPrefix: interfacePrefix(bound.options) },
      ...(gateway4 === undefined ? {} : { Gateway: gateway4 }),
      ...(gateway6 === undefined ? {} : { GatewayIPv6: gateway6 }),
      // Else the engine would add an interface of its own, past everything we keep apart.
      ...(closed ? { DisableGatewayService: true } : {}),
      ...(routes.length === 0 ? {} : { StaticRoutes: routes }),
    }
  }

  /**
   * Names are asked for from closed networks, too. An engine fails on a route that the container has already, so
   * one endpoint of each container gives it.
   */
  #wayToResolver(
    endpoint: Endpoint,
    sandboxKey: string,
    gateway: (family: Family) => IP | undefined,
  ): readonly object[] {
    const routes = this.#resolvers.flatMap((resolver) => {
      const family = familyOf(resolver)
      const NextHop = gateway(family)
      const Destination = `${resolver}/${bitsOf(family)}`
      return NextHop === undefined ? [] : [{ Destination, RouteType: VIA_NEXT_HOP, NextHop }]
    })
    if (routes.length === 0 || sandboxKey === '') return routes
    const giver = this.#control
      .listEngineEndpoints()
      .find(({ labels }) => labels[ENGINE_LABELS.sandbox] === sandboxKey)
    if (giver !== undefined && giver.id !== endpoint.id) return []
    const labels = { ...endpoint.labels, [ENGINE_LABELS.sandbox]: sandboxKey }
    this.#control.labelEndpoint(endpoint.id, labels)
    return routes
  }

  async program(message: Message<'NetworkDriver.ProgramExternalConnectivity'>): Promise<object> {
    const { ports } = message.Options
    if (ports.length === 0) return {}
    const endpoint = this.#plugged(message)
    const network = this.#control.getNetwork(endpoint.networkId)
    // An internal network is reached from nowhere; 20.10 asks all the same.
    if (!network.internal) await publishPorts(this.#control, endpoint.id, ports)
    return {}
  }

  /** Content when nothing is published, or the endpoint is unknown. */
  async revoke({ EndpointID }: EndpointMessage): Promise<object> {
    const endpoint = this.#control.plugged(EndpointID)
    if (endpoint !== undefined) await unpublishPorts(this.#control, endpoint.id)
    return {}
  }

  /** The engine takes its end back out of the container afterwards: it goes with the endpoint. */
  leave(_message: EndpointMessage): object {
    return {}
  }

  /** Content when it is unknown; what was published for it goes too. */
  async delete({ EndpointID }: EndpointMessage): Promise<object> {
    await this.#control.unplug(EndpointID)
    return {}
  }

  #boundTo({ NetworkID, EndpointID }: EndpointMessage): EngineNetwork {
    const bound = this.#control.engineNetwork(NetworkID)
    if (bound !== undefined) return bound
    throw new NetworkError(
      'not-found',
      `Cannot connect endpoint ${EndpointID.slice(0, 12)}: there is no network ${NetworkID} on this engine`,
      { hint: 'carrick docker status' },
    )
  }

  #plugged({ EndpointID, NetworkID }: EndpointMessage): Endpoint {
    const endpoint = this.#control.plugged(EndpointID)
    if (endpoint !== undefined) return endpoint
    throw new NetworkError(
      'not-found',
      `Cannot connect endpoint ${EndpointID}: network ${NetworkID} has none such`,
    )
  }
}

interface Given {
  readonly addresses: readonly IP[]
  readonly mac: string | undefined
}

/** Throws when the endpoint that stands under this id is not the one that is asked for. */
function refuseOther(
  endpoint: Endpoint,
  { EndpointID }: EndpointMessage,
  network: Network,
  { addresses, mac }: Given,
): void {
  const other =
    endpoint.networkId !== network.id ||
    addresses.some((address) => !endpoint.addresses.includes(address)) ||
    (mac !== undefined && parseMac(mac) !== endpoint.mac)
  if (!other) return
  throw new NetworkError(
    'conflict',
    `Cannot create endpoint ${EndpointID}: it is there with address ${endpoint.addresses.join(' and ')}`,
  )
}

/** Only what the request left open: an engine takes anything else for a change. */
function answerOf(
  endpoint: Endpoint,
  network: Network,
  { Interface }: Message<'NetworkDriver.CreateEndpoint'>,
): object {
  const none = Interface.Address === '' && Interface.AddressIPv6 === ''
  const chosen = (family: Family): string | undefined => {
    const address = endpoint.addresses.find((each) => familyOf(each) === family)
    const prefix = address && prefixWith(network, address)
    return prefix && `${address}/${prefixLength(prefix)}`
  }
  const [address4, address6] = none ? [chosen(4), chosen(6)] : []
  return {
    ...(Interface.MacAddress === '' ? { MacAddress: endpoint.mac } : {}),
    ...(address4 === undefined ? {} : { Address: address4 }),
    ...(address6 === undefined ? {} : { AddressIPv6: address6 }),
  }
}

function gatewayOf(endpoint: Endpoint, network: Network, family: Family): IP | undefined {
  const address = endpoint.addresses.find((each) => familyOf(each) === family)
  const prefix = address && prefixWith(network, address)
  return prefix && gatewayIn(network, prefix)
}

function prefixWith(network: Network, address: IP): Prefix | undefined {
  return network.prefixes.find((prefix) => prefixContains(prefix, address))
}

function familiesOf(network: Network): readonly Family[] {
  return [...new Set(network.prefixes.map(prefixFamily))]
}

/** Of `10.90.0.2/16`; none for what was left open. */
function readAddress(text: string): readonly IP[] {
  if (text === '') return []
  const address = parseIP(text.split('/')[0] ?? '')
  if (address !== undefined) return [address]
  throw new NetworkError('invalid', `Cannot create an endpoint: "${text}" is not an address`)
}
