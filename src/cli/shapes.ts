/** What networks, endpoints, hosts and drops look like in a table. */

import type { Drop, Endpoint, Host, Network } from '../api/rest/schemas.ts'
import { formatAge, formatBytes, formatCount } from '../lib/units.ts'
import type { Column, Shape } from './output.ts'

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
    labelsColumn(),
    ageColumn(({ metadata }) => metadata.createdAt),
  ],
}

export const endpointShape: Shape<Endpoint> = {
  kind: 'Endpoint',
  id: ({ metadata }) => metadata.id,
  name: ({ metadata }) => metadata.name ?? metadata.id,
  columns: [
    { key: 'id', values: ({ metadata }) => [metadata.id] },
    { key: 'name', values: ({ metadata }) => optional(metadata.name) },
    { key: 'network', values: ({ spec }) => [spec.network] },
    { key: 'addresses', values: ({ spec }) => spec.addresses },
    { key: 'mac', values: ({ spec }) => [spec.mac], wide: true },
    { key: 'host', values: ({ status }) => [status.host ?? status.hostId] },
    {
      key: 'state',
      values: (endpoint) => [stateOf(endpoint)],
      tone: (endpoint) =>
        stateOf(endpoint) === 'ready' ? 'good' : stateOf(endpoint) === 'failed' ? 'bad' : 'faint',
    },
    { key: 'ifname', values: ({ spec }) => [spec.ifname], wide: true },
    { key: 'device', values: ({ status }) => optional(status.device), wide: true },
    { key: 'netns', values: ({ spec }) => optional(spec.netns), wide: true },
    labelsColumn(),
    ageColumn(({ metadata }) => metadata.createdAt),
  ],
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

/** One word for people, from the endpoint's Ready condition. */
function stateOf({ status }: Endpoint): string {
  const ready = status.conditions.find(({ type }) => type === 'Ready')
  if (ready === undefined) return 'remote'
  return { True: 'ready', False: 'failed', Unknown: 'settling' }[ready.status]
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
