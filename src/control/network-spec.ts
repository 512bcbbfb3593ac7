/** What a network may be: checks what the user typed and says what would be right. Pure. */

import { type FieldError, NetworkError } from '../lib/errors.ts'
import type { DockerSide } from '../model/engine-network.ts'
import { isName, labelProblem } from '../model/names.ts'
import { CARRIERS, type Carrier, OPENINGS, type Opening } from '../model/network.ts'
import { type IP, parseIP } from '../net/ip.ts'
import {
  type Prefix,
  parsePrefix,
  prefixContains,
  prefixesOverlap,
  prefixFamily,
  suggestPrefix,
} from '../net/prefix.ts'
import type { NetworkSpec } from './control.ts'
import { defaultGateway, placeOf, tooSmall } from './ipam/layout.ts'

export interface CheckedNetwork {
  readonly name: string
  readonly prefixes: readonly Prefix[]
  readonly gateways: readonly IP[]
  readonly carrier: Carrier
  readonly mtuBytes?: number
  readonly internal: boolean
  readonly masquerade: boolean
  readonly open: readonly Opening[]
  readonly labels: Readonly<Record<string, string>>
  readonly docker?: DockerSide
}

/** IANA special-purpose registries (RFC 6890): what containers cannot have as their addresses. */
const UNUSABLE = [
  ['0.0.0.0/8', 'this network'],
  ['127.0.0.0/8', 'loopback'],
  ['169.254.0.0/16', 'link-local'],
  ['224.0.0.0/4', 'multicast'],
  ['240.0.0.0/4', 'reserved'],
  ['::/8', 'reserved, loopback and IPv4-mapped'],
  ['fe80::/10', 'link-local'],
  ['ff00::/8', 'multicast'],
] as const

const MOST_PREFIXES = 16
const MOST_LABELS = 64

/** The checked form of `spec`; throws `invalid` with every wrong field. `attempted` begins the message. */
export function checkNetwork(
  spec: NetworkSpec & { readonly subnets: readonly string[] },
  attempted = `create network "${spec.name}"`,
): CheckedNetwork {
  const fields: FieldError[] = []
  const wrong = (pointer: string, message: string): void => {
    fields.push({ pointer, message })
  }
  if (!isName(spec.name)) wrong('/name', nameProblem(spec.name))
  const carrier = CARRIERS.find((known) => known === (spec.carrier ?? 'auto'))
  if (carrier === undefined) {
    wrong('/carrier', `"${spec.carrier}" is not a carrier: choose one of ${CARRIERS.join(', ')}`)
  }
  const prefixes = checkPrefixes(spec.subnets, wrong)
  const gateways = checkGateways(spec.gateways ?? [], prefixes, wrong)
  checkMtu(spec.mtuBytes, prefixes, wrong)
  const open = checkOpenings(spec.open ?? [], wrong)
  checkLabels(spec.labels ?? {}, wrong)
  const [first] = fields
  if (first !== undefined || carrier === undefined) {
    throw new NetworkError('invalid', `Cannot ${attempted}: ${first?.message}`, { fields })
  }
  const { name, mtuBytes, internal = false, masquerade = true, labels = {}, docker } = spec
  return {
    name,
    prefixes,
    gateways,
    carrier,
    internal,
    masquerade,
    open,
    labels,
    ...(mtuBytes === undefined ? {} : { mtuBytes }),
    ...(docker === undefined ? {} : { docker }),
  }
}

type Wrong = (pointer: string, message: string) => void

/** Why the text is no name, for networks, endpoints and hosts alike. */
export function nameProblem(text: string): string {
  return `"${text}" is not a name: lower-case letters, digits and inner dashes, at most 63`
}

/** Collects what is wrong with labels under `/labels`. */
export function checkLabels(labels: Readonly<Record<string, string>>, wrong: Wrong): void {
  const entries = Object.entries(labels)
  if (entries.length > MOST_LABELS) wrong('/labels', `there are more than ${MOST_LABELS}`)
  for (const [key, value] of entries) {
    const problem = labelProblem(key, value)
    const pointer = `/labels/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`
    if (problem !== undefined) wrong(pointer, problem)
  }
}

function checkPrefixes(subnets: readonly string[], wrong: Wrong): readonly Prefix[] {
  if (subnets.length === 0) wrong('/subnets', 'a network needs at least one subnet')
  if (subnets.length > MOST_PREFIXES) {
    wrong('/subnets', `a network has at most ${MOST_PREFIXES} subnets`)
    return []
  }
  const prefixes: Prefix[] = []
  for (const [i, text] of subnets.entries()) {
    const prefix = parsePrefix(text)
    const problem =
      prefix === undefined ? malformed(text) : (unusable(prefix) ?? overlap(prefix, prefixes))
    if (problem !== undefined) wrong(`/subnets/${i}`, problem)
    else if (prefix !== undefined) prefixes.push(prefix)
  }
  return prefixes
}

function malformed(text: string): string {
  const suggested = suggestPrefix(text)
  return suggested === undefined
    ? `"${text}" is not a subnet: write it like 10.80.0.0/16 or fd80::/48`
    : `subnet "${text}" has host bits set: did you mean ${suggested}?`
}

function unusable(prefix: Prefix): string | undefined {
  if (tooSmall(prefix)) {
    return `subnet ${prefix} is too small: it must hold a gateway and at least one endpoint`
  }
  for (const [text, purpose] of UNUSABLE) {
    const special = parsePrefix(text)
    if (special !== undefined && prefixesOverlap(special, prefix)) {
      return `subnet ${prefix} overlaps ${text}, which is ${purpose}`
    }
  }
  return undefined
}

function overlap(prefix: Prefix, earlier: readonly Prefix[]): string | undefined {
  const other = earlier.find((candidate) => prefixesOverlap(candidate, prefix))
  return other === undefined ? undefined : `subnet ${prefix} overlaps ${other} of the same network`
}

function checkGateways(
  texts: readonly string[],
  prefixes: readonly Prefix[],
  wrong: Wrong,
): readonly IP[] {
  const given = new Map<Prefix, IP>()
  for (const [i, text] of texts.entries()) {
    const address = parseIP(text)
    const prefix = prefixes.find(
      (candidate) => address !== undefined && prefixContains(candidate, address),
    )
    if (address === undefined) wrong(`/gateways/${i}`, `"${text}" is not an address`)
    else if (prefix === undefined) {
      wrong(`/gateways/${i}`, `gateway ${address} is in none of the subnets`)
    } else if (given.has(prefix)) {
      wrong(`/gateways/${i}`, `subnet ${prefix} has a gateway already, ${given.get(prefix)}`)
    } else {
      const what = placeOf(prefix, address)
      if (what !== undefined) wrong(`/gateways/${i}`, `${address} is ${what} of ${prefix}`)
      given.set(prefix, address)
    }
  }
  return prefixes.map((prefix) => given.get(prefix) ?? defaultGateway(prefix))
}

/** Each once, in the order of OPENINGS. */
function checkOpenings(given: readonly string[], wrong: Wrong): readonly Opening[] {
  for (const [i, text] of given.entries()) {
    if (OPENINGS.some((known) => known === text)) continue
    wrong(`/open/${i}`, `"${text}" cannot be opened: choose among ${OPENINGS.join(', ')}`)
  }
  return OPENINGS.filter((known) => given.includes(known))
}

function checkMtu(mtuBytes: number | undefined, prefixes: readonly Prefix[], wrong: Wrong): void {
  if (mtuBytes === undefined) return
  const hasIPv6 = prefixes.some((prefix) => prefixFamily(prefix) === 6)
  const least = hasIPv6 ? 1280 : 68 // RFC 8200 §5, RFC 791 §3.2
  if (!Number.isInteger(mtuBytes) || mtuBytes < least || mtuBytes > 65535) {
    wrong('/mtuBytes', `an MTU of ${mtuBytes} is out of range: ${least} to 65535 for these subnets`)
  }
}
