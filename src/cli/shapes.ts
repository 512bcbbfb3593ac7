/** What networks, endpoints, hosts and drops look like in a table. */

import type { Endpoint, Publication } from '../api/rest/endpoint-schemas.ts'
import type { Network } from '../api/rest/network-schemas.ts'
import type { Drop, Host, Path } from '../api/rest/schemas.ts'
import { formatAge, formatBytes, formatCount } from '../lib/units.ts'
import { containerNameOf } from '../model/container-name.ts'
import { ENGINE_LABELS } from '../model/engine-network.ts'
import { bracketed, hostPortsText, portsText } from '../model/publication.ts'
import type { Column, Shape } from './output.ts'
import { rateText } from './rates.ts'

/** Labels that Compose sets on containers. */
const COMPOSE = {
  project: 'com.docker.compose.project',
  service: 'com.docker.compose.service',
} as const

export const networkShape: Shape<Network> = {
  kind: 'Network',
  id: ({ metadata }) => metadata.id,
  name: ({ metadata }) => metadata.name,
  columns: [
    { key: 'name', values: ({ metadata }) => [metadata.name] },
    { key: 'id', values: ({ metadata }) => [metadata.id], wide: true },
    { key: 'subnets', values: ({ spec }) => spec.subnets },
    { key: 'gateways', values: ({ spec }) => spec.gateways, wide: true },
    { key: 'carrier', values: ({ spec }) => [spec.carrier] },
    {
      key: 'vni',
      values: ({ status }) => [String(status.vni)],
      number: ({ status }) => status.vni,
    },
    { key: 'mtu', values: ({ spec }) => optional(spec.mtuBytes), wide: true },
    { key: 'outside', values: ({ spec }) => [outsideOf(spec)], wide: true },
    { key: 'open', values: ({ spec }) => spec.open, wide: true },
    { key: 'docker', values: ({ spec }) => optional(spec.docker?.name), wide: true },
    labelsColumn(),
    ageColumn(({ metadata }) => metadata.createdAt),
  ],
}

/** One word for people: how a network's containers get to the world outside. */
function outsideOf({ internal, masquerade }: Network['spec']): string {
  if (internal) return 'none'
  return masquerade ? 'masqueraded' : 'routed'
}

export const endpointShape: Shape<Endpoint> = {
  kind: 'Endpoint',
  id: ({ metadata }) => metadata.id,
  name: ({ metadata }) => metadata.name ?? metadata.id,
  columns: [
    { key: 'id', values: ({ metadata }) => [metadata.id] },
    // A container's name is its own among the engine's: it need not be one of the network's.
    {
      key: 'name',
      values: ({ metadata: { name, labels } }) => optional(name ?? containerNameOf(labels)),
    },
    { key: 'network', values: ({ spec }) => [spec.network] },
    { key: 'addresses', values: ({ spec }) => spec.addresses },
    { key: 'mac', values: ({ spec }) => [spec.mac], wide: true },
    { key: 'host', values: ({ status }) => [status.host ?? status.hostId] },
    {
      key: 'ports',
      values: ({ status }) =>
        status.ports.map((port) => {
          return `${hostPortsText(port)}->${portsText(port.containerPort, port.count)}`
        }),
    },
    {
      key: 'state',
      values: (endpoint) => [stateOf(endpoint)],
      tone: (endpoint) =>
        stateOf(endpoint) === 'ready' ? 'good' : stateOf(endpoint) === 'failed' ? 'bad' : 'faint',
    },
    { key: 'attachment', values: ({ spec }) => [spec.attachment] },
    labelColumn('container', ENGINE_LABELS.container),
    labelColumn('image', ENGINE_LABELS.image),
    labelColumn('project', COMPOSE.project),
    labelColumn('service', COMPOSE.service),
    { key: 'ifname', values: ({ spec }) => optional(spec.ifname || undefined), wide: true },
    { key: 'device', values: ({ status }) => optional(status.device), wide: true },
    { key: 'netns', values: ({ spec }) => optional(spec.netns), wide: true },
    { key: 'limits', values: ({ spec }) => limitsOf(spec), wide: true },
    labelsColumn(),
    ageColumn(({ metadata }) => metadata.createdAt),
  ],
}

/** What it may receive and send in a second. */
function limitsOf({ bandwidth = {} }: Endpoint['spec']): readonly string[] {
  const { toContainer, fromContainer } = bandwidth
  return [
    ...(toContainer === undefined ? [] : [`in ${rateText(toContainer.bitsPerSecond)}`]),
    ...(fromContainer === undefined ? [] : [`out ${rateText(fromContainer.bitsPerSecond)}`]),
  ]
}

export const publicationShape: Shape<Publication> = {
  kind: 'Publication',
  id: ({ metadata }) => metadata.id,
  name: ({ spec }) => hostPortsText(spec),
  columns: [
    { key: 'id', values: ({ metadata }) => [metadata.id] },
    { key: 'host', values: ({ status }) => [status.host ?? status.hostId] },
    { key: 'address', values: ({ spec }) => [spec.hostAddress ?? 'all'] },
    {
      key: 'port',
      values: ({ spec }) => [portsText(spec.hostPort, spec.count)],
      number: ({ spec }) => spec.hostPort,
    },
    { key: 'proto', values: ({ spec }) => [spec.protocol] },
    { key: 'network', values: ({ spec }) => [spec.network], wide: true },
    { key: 'endpoint', values: ({ spec }) => [spec.endpoint], wide: true },
    { key: 'to', values: (publication) => targetsOf(publication) },
    { key: 'who-can-reach-it', values: ({ status }) => [status.reach] },
    {
      key: 'state',
      values: (publication) => [stateOf(publication)],
      tone: (publication) =>
        stateOf(publication) === 'ready'
          ? 'good'
          : stateOf(publication) === 'failed'
            ? 'bad'
            : 'faint',
      wide: true,
    },
    ageColumn(({ metadata }) => metadata.createdAt),
  ],
}

/** `blue/web 10.80.0.9:80`: the name first, then where in it. */
function targetsOf({ spec, status }: Publication): string[] {
  const ports = portsText(spec.containerPort, spec.count)
  const family = spec.hostAddress === undefined ? undefined : spec.hostAddress.includes(':')
  const addresses = status.addresses.filter(
    (address) => family === undefined || family === address.includes(':'),
  )
  const places = addresses.map((address) => `${bracketed(address)}:${ports}`)
  return [`${spec.network}/${spec.endpoint} ${places.join(' ')}`]
}

export const hostShape: Shape<Host> = {
  kind: 'Host',
  id: ({ metadata }) => metadata.id,
  name: ({ metadata }) => metadata.name,
  columns: [
    { key: 'name', values: ({ metadata }) => [metadata.name] },
    { key: 'id', values: ({ metadata }) => [metadata.id] },
    { key: 'underlay', values: ({ spec }) => spec.underlay.map(({ address }) => address) },
    {
      key: 'state',
      values: ({ status }) => [status.alive ? 'alive' : 'away'],
      tone: ({ status }) => (status.alive ? 'good' : 'bad'),
    },
    { key: 'self', values: ({ status }) => [status.self ? 'yes' : 'no'], wide: true },
    {
      key: 'endpoints',
      values: ({ status }) => [String(status.endpoints)],
      number: ({ status }) => status.endpoints,
    },
    {
      key: 'failures',
      values: ({ status }) => [String(status.failures.length)],
      number: ({ status }) => status.failures.length,
    },
    { key: 'carriers', values: ({ spec }) => spec.carriers, wide: true },
    {
      key: 'index',
      values: ({ status }) => [String(status.index)],
      number: ({ status }) => status.index,
      wide: true,
    },
    {
      key: 'epoch',
      values: ({ status }) => [String(status.epoch)],
      number: ({ status }) => status.epoch,
      wide: true,
    },
    { key: 'version', values: ({ status }) => [status.version] },
  ],
}

/** A host's ways to the others. */
export const pathShape: Shape<Path> = {
  kind: 'Path',
  id: ({ hostId, carrier }) => `${hostId}/${carrier}`,
  name: ({ host, carrier }) => `${host}/${carrier}`,
  columns: [
    { key: 'path-to', values: ({ host }) => [host] },
    { key: 'carrier', values: ({ carrier }) => [carrier] },
    {
      key: 'mtu',
      values: ({ mtuBytes }) => [String(mtuBytes)],
      number: ({ mtuBytes }) => mtuBytes,
    },
    {
      key: 'expected',
      values: ({ expectedBytes }) => [String(expectedBytes)],
      number: ({ expectedBytes }) => expectedBytes,
    },
    {
      key: 'problems',
      values: ({ problems }) => problems,
      tone: ({ problems }) => (problems.length === 0 ? 'good' : 'bad'),
    },
    { key: 'probed', values: ({ probedAt }) => [probedAt] },
  ],
}

export const dropShape: Shape<Drop> = {
  kind: 'Drop',
  id: ({ endpointId, reason }) => endpointId ?? reason,
  name: ({ reason }) => reason,
  columns: [
    { key: 'reason', values: ({ reason }) => [reason] },
    { key: 'endpoint', values: (drop) => optional(drop.endpointName ?? drop.endpointId) },
    { key: 'endpoint-id', values: ({ endpointId }) => optional(endpointId), wide: true },
    { key: 'network', values: ({ network }) => optional(network) },
    {
      key: 'packets',
      values: ({ packets }) => [formatCount(packets)],
      number: ({ packets }) => packets,
    },
    { key: 'bytes', values: ({ bytes }) => [formatBytes(bytes)], number: ({ bytes }) => bytes },
  ],
}

/** One word for people, from the Ready condition. */
function stateOf({ status }: Endpoint | Publication): string {
  const ready = status.conditions.find(({ type }) => type === 'Ready')
  if (ready === undefined) return 'remote'
  return { True: 'ready', False: 'failed', Unknown: 'settling' }[ready.status]
}

/** What one label says. */
function labelColumn(key: string, label: string): Column<Endpoint> {
  return { key, values: ({ metadata }) => optional(metadata.labels[label]), wide: true }
}

function labelsColumn<
  T extends { readonly metadata: { readonly labels: Readonly<Record<string, string>> } },
>(): Column<T> {
  return {
    key: 'labels',
    values: ({ metadata }) =>
      Object.entries(metadata.labels).map(([key, value]) => `${key}=${value}`),
    wide: true,
  }
}

/** Sorts the youngest first, as its text does. */
function ageColumn<T>(createdAt: (item: T) => string): Column<T> {
  return {
    key: 'age',
    values: (item, nowMs) => [formatAge(nowMs - Date.parse(createdAt(item)))],
    number: (item) => -Date.parse(createdAt(item)),
  }
}

function optional(value: string | number | undefined): string[] {
  return value === undefined ? [] : [String(value)]
}
