/** What a change asks of a network: the record as it is, merged with the wish (RFC 7396), and checked. Pure. */

import { type FieldError, NetworkError } from '../lib/errors.ts'
import type { Carrier, Network, Opening } from '../model/network.ts'
import { parseIP } from '../net/ip.ts'
import { type Prefix, parsePrefix, prefixContains } from '../net/prefix.ts'
import { checkNetwork } from './network-spec.ts'

/** What is to be different; absent stays as it is, null is the default again. */
export interface NetworkPatch {
  /** All of them; those that are not named are removed. */
  readonly subnets?: readonly string[]
  /** Of new subnets; a subnet that stays keeps its own. */
  readonly gateways?: readonly string[]
  readonly carrier?: Carrier | null
  readonly mtuBytes?: number | null
  readonly internal?: boolean | null
  readonly masquerade?: boolean | null
  readonly open?: readonly Opening[] | null
  /** By key; null removes one label. */
  readonly labels?: Readonly<Record<string, string | null>> | null
}

/** A network as it is to be, and what that takes. */
export interface PatchedNetwork {
  /** The new record, but for the carrier, which changes in steps. */
  readonly network: Network
  /** Undefined: none is wished for. */
  readonly carrier: Carrier | undefined
  readonly added: readonly Prefix[]
  readonly removed: readonly Prefix[]
}

/** The network after the patch; throws `invalid` with every wrong field. */
export function patchNetwork(network: Network, patch: NetworkPatch): PatchedNetwork {
  const attempted = `change network ${network.name}`
  const subnets = patch.subnets ?? network.prefixes
  const { mtuBytes: _, ...rest } = network
  const checked = checkNetwork(
    {
      name: network.name,
      subnets,
      gateways: gatewaysOf(network, subnets, patch.gateways ?? []),
      carrier: patch.carrier === null ? 'auto' : (patch.carrier ?? network.carrier),
      ...mtuOf(network, patch),
      internal: patch.internal ?? (patch.internal === null ? false : network.internal),
      masquerade: patch.masquerade ?? (patch.masquerade === null ? true : network.masquerade),
      open: patch.open ?? (patch.open === null ? [] : network.open),
      labels: labelsOf(network, patch),
    },
    attempted,
  )
  const { prefixes, gateways, carrier, mtuBytes, internal, masquerade, open, labels } = checked
  refuseMovedGateways(network, checked, attempted)
  return {
    network: {
      ...rest,
      prefixes,
      gateways,
      ...(mtuBytes === undefined ? {} : { mtuBytes }),
      internal,
      masquerade,
      open,
      labels,
    },
    carrier: patch.carrier === undefined ? undefined : carrier,
    added: prefixes.filter((prefix) => !network.prefixes.includes(prefix)),
    removed: network.prefixes.filter((prefix) => !prefixes.includes(prefix)),
  }
}

function mtuOf(network: Network, patch: NetworkPatch): { mtuBytes?: number } {
  const mtuBytes = patch.mtuBytes === undefined ? network.mtuBytes : patch.mtuBytes
  return mtuBytes === undefined || mtuBytes === null ? {} : { mtuBytes }
}

function labelsOf(network: Network, { labels = {} }: NetworkPatch): Record<string, string> {
  if (labels === null) return {}
  const merged = Object.entries({ ...network.labels, ...labels })
  return Object.fromEntries(
    merged.flatMap(([key, value]) => (value === null ? [] : [[key, value]])),
  )
}

/** The gateways that were named, and those that the subnets had before. */
function gatewaysOf(
  network: Network,
  subnets: readonly string[],
  named: readonly string[],
): readonly string[] {
  const stay = network.gateways.filter((_, i) => {
    const prefix = network.prefixes[i]
    const kept = prefix !== undefined && subnets.some((text) => parsePrefix(text) === prefix)
    return kept && !named.some((text) => isIn(text, prefix))
  })
  return [...named, ...stay]
}

function isIn(text: string, prefix: Prefix): boolean {
  const address = parseIP(text)
  return address !== undefined && prefixContains(prefix, address)
}

/** Containers send to the gateway they were given: a subnet keeps its own for life. */
function refuseMovedGateways(
  network: Network,
  { prefixes, gateways }: Pick<Network, 'prefixes' | 'gateways'>,
  attempted: string,
): void {
  const fields: FieldError[] = []
  for (const [i, prefix] of prefixes.entries()) {
    const before = network.gateways[network.prefixes.indexOf(prefix)]
    if (before === undefined || before === gateways[i]) continue
    const message = `subnet ${prefix} keeps its gateway ${before}: its containers use it`
    fields.push({ pointer: `/gateways/${i}`, message })
  }
  const [first] = fields
  if (first === undefined) return
  throw new NetworkError('invalid', `Cannot ${attempted}: ${first.message}`, { fields })
}
