/** The kinds that are entries of the datapath's maps: which map each is in, and what its entry says. */

import type { GatewayEntry } from '../../hoststate/gateway.ts'
import * as gatewayMaps from '../../hoststate/gateway-maps.ts'
import * as maps from '../../hoststate/maps.ts'
import type {
  DatapathConfig,
  DeviceEntry,
  DirectPrefix,
  EndpointEntry,
  NetworkEntry,
} from '../../hoststate/state.ts'
import { MARK } from '../../hoststate/state.ts'
import { familyOf, type IP } from '../../net/ip.ts'
import type { Context } from '../context.ts'
import type { Resource } from '../resource.ts'
import { mapResource } from './map-table.ts'

const ofFamily = (addresses: readonly IP[], family: 4 | 6): IP | undefined =>
  addresses.find((address) => familyOf(address) === family)

export function networkEntries({ datapath, devices }: Context): Resource<NetworkEntry> {
  return mapResource<NetworkEntry, maps.NetworkEntry>({
    kind: 'network',
    layout: maps.networks,
    map: datapath.map(maps.networks),
    entryOf: ({ vni, prefixes, gateways, gateway, openMetadata, internal }) => ({
      vni,
      prefixes,
      gateway4: ofFamily(gateways, 4),
      gateway6: ofFamily(gateways, 6),
      gateway:
        gateway === undefined
          ? undefined
          : { ifindex: devices.of(gateway.device), mark: gateway.mark },
      openMetadata,
      internal,
    }),
    wantedOf: ({ vni, prefixes, gateway4, gateway6, gateway, openMetadata, internal }) => ({
      kind: 'network',
      vni,
      prefixes,
      gateways: [gateway4, gateway6].flatMap((each) => each ?? []),
      ...(gateway === undefined
        ? {}
        : { gateway: { device: deviceName(devices, gateway.ifindex), mark: gateway.mark } }),
      openMetadata,
      internal,
    }),
  })
}

export function directPrefixes({ datapath }: Context): Resource<DirectPrefix> {
  return mapResource<DirectPrefix, maps.DirectPrefixEntry>({
    kind: 'direct-prefix',
    layout: maps.directPrefixes,
    map: datapath.map(maps.directPrefixes),
    entryOf: ({ prefix, vni }) => ({ prefix, vni }),
    wantedOf: ({ prefix, vni }) => ({ kind: 'direct-prefix', prefix, vni }),
  })
}

export function endpointEntries({ datapath, devices }: Context): Resource<EndpointEntry> {
  return mapResource<EndpointEntry, maps.EndpointEntry>({
    kind: 'endpoint',
    layout: maps.endpoints,
    map: datapath.map(maps.endpoints),
    keyOf: (want) => maps.endpoints.keyOf(want as unknown as maps.EndpointEntry), // network and address
    entryOf: ({ vni, address, mac, at, host }) => ({
      vni,
      address,
      mac,
      at:
        'device' in at
          ? placeAt(devices.of(at.device), host === true, at.shaped === true)
          : { kind: 'remote', host: at.hostIndex },
    }),
    wantedOf: ({ vni, address, mac, at }) => ({
      kind: 'endpoint',
      vni,
      address,
      mac,
      at:
        at.kind === 'remote'
          ? { hostIndex: at.host }
          : {
              device: deviceName(devices, at.ifindex),
              ...(at.kind === 'local' && at.shaped ? { shaped: true } : {}),
            },
      ...(at.kind === 'host' ? { host: true } : {}),
    }),
  })
}

export function gatewayEntries({ datapath, devices }: Context): Resource<GatewayEntry> {
  return mapResource<GatewayEntry, gatewayMaps.GatewayEntry>({
    kind: 'gateway-entry',
    layout: gatewayMaps.gateways,
    map: datapath.map(gatewayMaps.gateways),
    entryOf: ({ device, vni, carrier, mtuBytes, around }) => ({
      ifindex: devices.of(device),
      ...{ vni, carrier, mtuBytes, around },
    }),
    wantedOf: ({ ifindex, vni, carrier, mtuBytes, around }) => ({
      kind: 'gateway-entry',
      device: deviceName(devices, ifindex),
      ...{ vni, carrier, mtuBytes, around },
    }),
  })
}

export function deviceEntries({ datapath, devices }: Context): Resource<DeviceEntry> {
  return mapResource<DeviceEntry, maps.DeviceEntry>({
    kind: 'device',
    layout: maps.devices,
    map: datapath.map(maps.devices),
    entryOf: ({ device, vni, mac, addresses, carrier }) => ({
      ifindex: devices.of(device),
      vni,
      mac,
      address4: ofFamily(addresses, 4),
      address6: ofFamily(addresses, 6),
      carrier,
    }),
    wantedOf: ({ ifindex, vni, mac, address4, address6, carrier }) => ({
      kind: 'device',
      device: deviceName(devices, ifindex),
      vni,
      mac,
      addresses: [address4, address6].flatMap((address) => address ?? []),
      carrier,
    }),
  })
}

export function configs({ datapath, devices }: Context): Resource<DatapathConfig> {
  return mapResource<DatapathConfig, maps.ConfigEntry>({
    kind: 'config',
    layout: maps.config,
    map: datapath.map(maps.config),
    array: true,
    entryOf: (want) => ({
      fabricMac: want.fabricMac,
      address4: ofFamily(want.addresses, 4),
      address6: ofFamily(want.addresses, 6),
      vxlanPort: want.vxlanPort,
      vxlanIfindex: devices.of(want.vxlanDevice),
      crossFamilyStrip: datapath.crossFamilyStrip,
      direct: want.direct,
      packetMarkMask: want.packetMarkMask,
      resolver4: ofFamily(want.resolvers, 4),
      resolver6: ofFamily(want.resolvers, 6),
    }),
    wantedOf: (entry) => ({
      kind: 'config',
      fabricMac: entry.fabricMac,
      vxlanPort: entry.vxlanPort,
      vxlanDevice: MARK.vxlanDevice,
      addresses: [entry.address4, entry.address6].flatMap((address) => address ?? []),
      direct: entry.direct,
      packetMarkMask: entry.packetMarkMask,
      resolvers: [entry.resolver4, entry.resolver6].flatMap((address) => address ?? []),
    }),
  })
}

function placeAt(ifindex: number, host: boolean, shaped: boolean): maps.EndpointEntry['at'] {
  if (host) return { kind: 'host', ifindex }
  return { kind: 'local', ifindex, ...(shaped ? { shaped } : {}) }
}

/** The name of a device, or a name nobody has for one that is gone, so that its entry is a leftover. */
function deviceName(devices: Context['devices'], ifindex: number): string {
  return devices.nameOf(ifindex) ?? `gone/${ifindex}`
}
