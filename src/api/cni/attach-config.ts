/**
 * What an ADD asks for. The same can be said in several places, of which the nearest to the user counts:
 * runtimeConfig, then args.cni, then CNI_ARGS, then the network's configuration. Of addresses each family counts for itself.
 */

import type { Bandwidth } from '../../model/endpoint.ts'
import { familyOf } from '../../net/ip.ts'
import type { Mac } from '../../net/mac.ts'
import { type Pod, readArguments } from './arguments.ts'
import {
  type AddressRange,
  type PortMapping,
  type RequestedAddress,
  readAddresses,
  readAliases,
  readBandwidth,
  readDnsCapability,
  readMac,
  readPortMappings,
  readRange,
  readRangeSets,
  saysSomething,
} from './capabilities.ts'
import type { CniConfig } from './config.ts'
import { Fields } from './fields.ts'
import type { CniDns, CniRoute } from './result.ts'
import { readDns, readRoutes } from './result-read.ts'

export interface AttachConfig {
  readonly addresses: readonly RequestedAddress[]
  /** One address of each set, from any of its ranges. */
  readonly rangeSets: readonly (readonly AddressRange[])[]
  readonly mac: Mac | undefined
  /** As the user typed them: not all can be names. */
  readonly aliases: readonly string[]
  readonly portMappings: readonly PortMapping[]
  /** Undefined: nobody said anything. */
  readonly dns: CniDns | undefined
  readonly bandwidth: Bandwidth
  /** Of args.cni.labels; not all can be labels of ours. */
  readonly labels: Readonly<Record<string, string>>
  /** Of the pod; not all can be labels of ours. */
  readonly annotations: Readonly<Record<string, string>>
  readonly pod: Pod
  readonly mtuBytes: number | undefined
  readonly isGateway: boolean | undefined
  /** False: only the network's own prefixes and `routes` lead through the interface. */
  readonly isDefaultGateway: boolean | undefined
  readonly ipMasq: boolean | undefined
  readonly hairpinMode: boolean | undefined
  /** Besides the network's own: `routes`, and `ipam.routes` unless another plug-in is to read them. */
  readonly routes: readonly CniRoute[]
}

/** Reads all of it; throws codes 2, 6 and 7, naming the place. */
export function readAttachConfig(config: CniConfig, cniArgs: string): AttachConfig {
  const fields = new Fields(config.object)
  const runtime = fields.object('runtimeConfig')
  const args = fields.object('args').object('cni')
  const typed = readArguments(cniArgs)
  const ipam = fields.object('ipam')
  const rangeSets = readRangeSets(runtime, 'ipRanges')
  const mtuBytes = fields.integer('mtu', 0, 65_535) ?? 0
  return {
    addresses: nearestOfEachFamily([
      readAddresses(runtime.texts('ips'), runtime.wayTo('ips')),
      readAddresses(args.texts('ips'), args.wayTo('ips')),
      readAddresses(typed.addresses, 'CNI_ARGS IP'),
      readAddresses(fields.texts('ips'), 'ips'),
    ]),
    rangeSets:
      rangeSets.length > 0 || config.delegate !== undefined ? rangeSets : readOwnRanges(ipam),
    mac: nearestMac([
      [runtime.text('mac'), runtime.wayTo('mac')],
      [args.text('mac'), args.wayTo('mac')],
      [typed.mac, 'CNI_ARGS MAC'],
      [fields.text('mac'), 'mac'],
    ]),
    aliases: readAliases(runtime, config.name),
    portMappings: readPortMappings(runtime),
    dns:
      readDnsCapability(runtime) ?? saysSomething(readDns(fields.object('dns')), 'dns.nameservers'),
    bandwidth: readBandwidth(runtime),
    labels: readLabels(args),
    annotations: runtime.textsByKey('io.kubernetes.cri.pod-annotations'),
    pod: typed.pod,
    mtuBytes: mtuBytes === 0 ? undefined : mtuBytes,
    isGateway: fields.flag('isGateway'),
    isDefaultGateway: fields.flag('isDefaultGateway'),
    ipMasq: fields.flag('ipMasq'),
    hairpinMode: fields.flag('hairpinMode'),
    routes: [
      ...readRoutes(fields, 'routes'),
      ...(config.delegate === undefined ? readRoutes(ipam, 'routes') : []),
    ],
  }
}

/** The lists are in order: of each family the first that has any counts. */
function nearestOfEachFamily(
  lists: readonly (readonly RequestedAddress[])[],
): readonly RequestedAddress[] {
  return ([4, 6] as const).flatMap((family) => {
    const own = lists.map((list) => list.filter(({ address }) => familyOf(address) === family))
    return own.find((list) => list.length > 0) ?? []
  })
}

function nearestMac(places: readonly (readonly [string | undefined, string])[]): Mac | undefined {
  const [text, way] = places.find(([given]) => given !== undefined) ?? [undefined, '']
  return text === undefined ? undefined : readMac(text, way)
}

/** As host-local writes them: `ranges`, or one range in the object itself. */
function readOwnRanges(ipam: Fields): readonly (readonly AddressRange[])[] {
  const sets = readRangeSets(ipam, 'ranges')
  return ipam.value('subnet') === undefined ? sets : [[readRange(ipam)], ...sets]
}

/** A list of `{key, value}`. */
function readLabels(args: Fields): Readonly<Record<string, string>> {
  return Object.fromEntries(
    args
      .objects('labels')
      .map((label) => [label.text('key') ?? '', label.text('value') ?? ''] as const)
      .filter(([key]) => key !== ''),
  )
}
