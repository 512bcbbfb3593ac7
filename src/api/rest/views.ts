/** The model's objects as documents of the wire: metadata, spec, status. */

import type { DropCount, HostView, StatusView, Token } from '../../control/control.ts'
import { type Endpoint, NO_SANDBOX, type PublishedEndpoint } from '../../model/endpoint.ts'
import type { ObjectFailure } from '../../model/host.ts'
import type { Network } from '../../model/network.ts'
import type { Publication } from '../../model/publication.ts'
import type * as endpointWire from './endpoint-schemas.ts'
import type * as networkWire from './network-schemas.ts'
import type * as partsWire from './schema-parts.ts'
import type * as wire from './schemas.ts'

export function networkView(network: Network, notes: readonly string[] = []): networkWire.Network {
  return {
    apiVersion: 'v1',
    kind: 'Network',
    metadata: {
      id: network.id,
      name: network.name,
      labels: network.labels,
      createdAt: network.createdAt,
    },
    spec: {
      subnets: network.prefixes,
      gateways: network.gateways,
      carrier: network.carrier,
      ...(network.mtuBytes === undefined ? {} : { mtuBytes: network.mtuBytes }),
      internal: network.internal,
      masquerade: network.masquerade,
      open: network.open,
      ...(network.docker === undefined ? {} : { docker: network.docker }),
    },
    status: {
      vni: network.vni,
      ...(network.alsoAccepts === undefined ? {} : { alsoAccepts: network.alsoAccepts }),
      ...(network.forced === undefined ? {} : { forced: network.forced }),
      ...(notes.length === 0 ? {} : { notes }),
    },
  }
}

/** What an endpoint's document says beyond its record. */
export interface EndpointContext {
  readonly network: string
  readonly host: string | undefined
  /** Only for endpoints of this host: nobody else knows. */
  readonly ready: partsWire.Condition | undefined
  readonly ports: readonly Publication[]
  readonly revision?: number
}

export function endpointView(
  endpoint: Endpoint | PublishedEndpoint,
  context: EndpointContext,
): endpointWire.Endpoint {
  const local = 'sandbox' in endpoint ? endpoint : undefined
  const { device = '', sandbox: { path: netns } = NO_SANDBOX } = local ?? {}
  return {
    apiVersion: 'v1',
    kind: 'Endpoint',
    metadata: {
      id: endpoint.id,
      ...(endpoint.name === undefined ? {} : { name: endpoint.name }),
      labels: endpoint.labels,
      createdAt: endpoint.createdAt,
      ...(context.revision === undefined ? {} : { revision: context.revision }),
    },
    spec: {
      network: context.network,
      addresses: endpoint.addresses,
      mac: endpoint.mac,
      ifname: endpoint.ifname,
      attachment: endpoint.attachment ?? 'veth',
      ...(endpoint.bandwidth === undefined ? {} : { bandwidth: endpoint.bandwidth }),
      ...(endpoint.mtuBytes === undefined ? {} : { mtuBytes: endpoint.mtuBytes }),
      ...(endpoint.defaultRoute === undefined ? {} : { defaultRoute: endpoint.defaultRoute }),
      ...(endpoint.routes === undefined ? {} : { routes: endpoint.routes }),
      ...(netns === '' ? {} : { netns }),
    },
    status: {
      networkId: endpoint.networkId,
      hostId: endpoint.hostId,
      ...(context.host === undefined ? {} : { host: context.host }),
      local: local !== undefined,
      ...(device === '' ? {} : { device }),
      ports: context.ports.map(publishedPort),
      conditions: context.ready === undefined ? [] : [context.ready],
    },
  }
}

/** What an endpoint's document says of a published port. */
function publishedPort(publication: Publication): endpointWire.Endpoint['status']['ports'][number] {
  const { id, protocol, hostAddress, hostPort, containerPort, count } = publication
  const address = hostAddress === undefined ? {} : { hostAddress }
  return { id, protocol, ...address, hostPort, containerPort, count }
}

/** What a publication's document says beyond its record. */
export interface PublicationContext {
  readonly network: string
  readonly endpoint: Endpoint | PublishedEndpoint | undefined
  readonly host: string | undefined
  readonly local: boolean
  readonly reach: string
  /** Only for publications of this host: nobody else knows. */
  readonly ready: partsWire.Condition | undefined
  readonly revision?: number
}

export function publicationView(
  publication: Publication,
  context: PublicationContext,
): endpointWire.Publication {
  const { endpointId, networkId, hostId, createdAt } = publication
  const { id, ...port } = publishedPort(publication)
  const { network, endpoint, host, local, reach, ready, revision } = context
  return {
    apiVersion: 'v1',
    kind: 'Publication',
    metadata: { id, labels: {}, createdAt, ...(revision === undefined ? {} : { revision }) },
    spec: { endpoint: endpoint?.name ?? endpointId, network, ...port },
    status: {
      endpointId,
      networkId,
      hostId,
      ...(host === undefined ? {} : { host }),
      local,
      addresses: endpoint?.addresses ?? [],
      reach,
      conditions: ready === undefined ? [] : [ready],
    },
  }
}

export const SETTLED: partsWire.Condition = {
  type: 'Ready',
  status: 'True',
  reason: 'settled',
  message: 'The kernel has everything that is needed',
}

/** Whether an object of this host, such as `endpoint/<id>`, can be used, from the failures the host reports. */
export function readiness(
  object: string,
  status: { readonly settled: boolean; readonly failures: readonly ObjectFailure[] },
): partsWire.Condition {
  const failure = status.failures.find((each) => each.object === object)
  if (failure !== undefined) {
    const { code, message, since } = failure
    return { type: 'Ready', status: 'False', reason: code, message, since }
  }
  if (status.settled) return SETTLED
  const message = 'Changes on this host are not yet in the kernel'
  return { type: 'Ready', status: 'Unknown', reason: 'settling', message }
}

export function hostView({ host, alive, self, status, paths, endpoints }: HostView): wire.Host {
  return {
    apiVersion: 'v1',
    kind: 'Host',
    metadata: { id: host.id, name: host.name, labels: {} },
    spec: { underlay: [...host.underlay], vxlanPort: host.vxlanPort, carriers: host.carriers },
    status: {
      self,
      alive,
      index: host.index,
      epoch: host.epoch,
      version: host.version,
      endpoints,
      publishedSequence: host.publishedSequence,
      ...(status === undefined ? {} : { observedRevision: status.appliedRevision }),
      failures: status?.failures ?? [],
      paths: paths.map(({ hostName, ...path }) => ({ ...path, host: hostName })),
    },
  }
}

export function statusView({ hostId, hostName, ...status }: StatusView): wire.Status {
  return {
    apiVersion: 'v1',
    kind: 'Status',
    metadata: { id: hostId, name: hostName },
    status,
  }
}

export function tokenView(token: Token, ttlSeconds: number): wire.Token {
  return {
    apiVersion: 'v1',
    kind: 'Token',
    metadata: { id: token.id },
    spec: { ttlSeconds },
    status: { text: token.text, expiresAt: token.expiresAt },
  }
}

export function dropView(drop: DropCount): wire.Drop {
  return { ...drop }
}
