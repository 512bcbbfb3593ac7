/** What an attach may ask for: checks what the user typed against the networks. Pure. */

import { type FieldError, NetworkError } from '../lib/errors.ts'
import type { Delegate } from '../model/cni.ts'
import type { Endpoint } from '../model/endpoint.ts'
import { interfaceNameProblem, isName } from '../model/names.ts'
import type { Network } from '../model/network.ts'
import { familyOf, type IP, parseIP } from '../net/ip.ts'
import { isUnicastMac, type Mac, parseMac } from '../net/mac.ts'
import { prefixesOverlap, prefixFamily } from '../net/prefix.ts'
import { checkBandwidth } from './bandwidth.ts'
import type { AttachPart, AttachTarget, PortWish } from './control.ts'
import { reservedFor } from './ipam/layout.ts'
import { gatewayOf, prefixOf } from './ipam/territory.ts'
import { checkLabels, nameProblem } from './network-spec.ts'

export interface CheckedAttach {
  readonly target: { readonly netns: string } | { readonly pid: number }
  /** What the target is called in messages. */
  readonly targetName: string
  readonly name: string | undefined
  readonly labels: Readonly<Record<string, string>>
  readonly delegate: Delegate | undefined
  /** Ports to publish, unread. */
  readonly publish: readonly (string | PortWish)[]
  /** Ids of publications that are to lead here. */
  readonly movePorts: readonly string[]
  readonly signal: AbortSignal | undefined
  /** In the order in which they were named, at least one. */
  readonly parts: readonly CheckedPart[]
}

/** One network of an attach. */
export interface CheckedPart {
  readonly network: Network
  readonly addresses: readonly IP[]
  readonly mac: Mac | undefined
  /** Undefined: the first ethN that is free in the sandbox. */
  readonly ifname: string | undefined
  readonly defaultRoute: boolean
  /** What the endpoint's record says of its interface. */
  readonly shape: Pick<Endpoint, 'routes' | 'defaultRoute' | 'mtuBytes' | 'bandwidth'>
  /** Where addresses are chosen, and of which families. */
  readonly choice: Pick<AttachPart, 'families' | 'within'>
}

/** What is wanted of one network, and where in the request it stands. */
export interface WantedPart extends Omit<AttachPart, 'network'> {
  readonly network: Network
  /** JSON pointer of the part: empty for an attach to one network. */
  readonly pointer: string
}

const MOST_NETWORKS = 64

/** Notes what is wrong with a field. */
export type Wrong = (pointer: string, message: string) => void

/** The checked form of a request; throws `invalid` with every wrong field. */
export function checkAttach(common: AttachTarget, wanted: readonly WantedPart[]): CheckedAttach {
  const fields: FieldError[] = []
  const wrong: Wrong = (pointer, message) => {
    fields.push({ pointer, message })
  }
  const target = checkTarget(common, wrong)
  const parts = wanted.map((part) => checkPart(part, wrong))
  if (common.name !== undefined && !isName(common.name)) wrong('/name', nameProblem(common.name))
  checkLabels(common.labels ?? {}, wrong)
  if (wanted.length === 0) wrong('/networks', 'name at least one network')
  if (wanted.length > MOST_NETWORKS) wrong('/networks', `there are more than ${MOST_NETWORKS}`)
  checkTogether(wanted, wrong)
  const [first] = fields
  if (first !== undefined || target === undefined) {
    const names = wanted.map(({ network }) => network.name)
    throw new NetworkError(
      'invalid',
      `Cannot attach to ${networksNamed(names)}: ${first?.message}`,
      {
        fields,
        details: { network: names.join(' ') },
      },
    )
  }
  const targetName = 'pid' in target ? `process ${target.pid}` : target.netns
  const { name, publish = [], movePorts = [], signal, delegate } = common
  const labels = { ...common.labels, ...common.ownLabels }
  return { target, targetName, name, labels, delegate, publish, movePorts, signal, parts }
}

/** How networks are called in messages: `network blue`, `networks lan and blue`. */
export function networksNamed(names: readonly string[]): string {
  return names.length === 1 ? `network ${names[0]}` : `networks ${names.join(' and ')}`
}

function checkPart(part: WantedPart, wrong: Wrong): CheckedPart {
  const { network, pointer, ifname, defaultRoute = false } = part
  const addresses = checkAddresses(network, part.addresses ?? [], pointer, wrong)
  const mac = part.mac === undefined ? undefined : parseMac(part.mac)
  if (part.mac !== undefined && (mac === undefined || !isUnicastMac(mac))) {
    wrong(
      `${pointer}/mac`,
      `"${part.mac}" is not the MAC address of one device: write it like 0a:00:00:00:00:50`,
    )
  }
  if (ifname !== undefined) {
    const problem = ifname === 'lo' ? 'every namespace has one' : interfaceNameProblem(ifname)
    if (problem !== undefined) {
      wrong(`${pointer}/ifname`, `"${ifname}" cannot name an interface: ${problem}`)
    }
  }
  if (defaultRoute && network.internal) {
    wrong(
      `${pointer}/defaultRoute`,
      `network ${network.name} is internal: it has no gateway for a default route`,
    )
  }
  checkMtu(part, wrong)
  checkBandwidth(part.bandwidth, `${pointer}/bandwidth`, wrong)
  return {
    network,
    addresses,
    mac,
    ifname,
    defaultRoute,
    shape: shapeOf(part),
    choice: choiceOf(part),
  }
}

function checkMtu({ mtuBytes, network, pointer }: WantedPart, wrong: Wrong): void {
  if (mtuBytes === undefined) return
  const least = network.prefixes.some((prefix) => prefixFamily(prefix) === 6) ? 1280 : 68
  if (Number.isInteger(mtuBytes) && mtuBytes >= least) return
  wrong(
    `${pointer}/mtuBytes`,
    `an MTU of ${mtuBytes} is too small for the network's protocols: at least ${least}`,
  )
}

/** Only what is said and differs from the rule. */
function shapeOf(part: WantedPart): CheckedPart['shape'] {
  const { routes = [], noDefaultRoute, mtuBytes, bandwidth } = part
  return {
    ...(routes.length === 0 ? {} : { routes }),
    ...(noDefaultRoute === true ? { defaultRoute: false } : {}),
    ...(mtuBytes === undefined ? {} : { mtuBytes }),
    ...(bandwidth === undefined ? {} : { bandwidth }),
  }
}

function choiceOf({ families, within }: WantedPart): CheckedPart['choice'] {
  return {
    ...(families === undefined ? {} : { families }),
    ...(within === undefined ? {} : { within }),
  }
}

/** What the networks of one request must not have in common. */
function checkTogether(wanted: readonly WantedPart[], wrong: Wrong): void {
  for (const [i, part] of wanted.entries()) {
    const earlier = wanted.slice(0, i)
    if (part.defaultRoute === true) {
      const other = earlier.find(({ defaultRoute }) => defaultRoute === true)
      if (other !== undefined) {
        wrong(
          `${part.pointer}/defaultRoute`,
          `there is one default route, and network ${other.network.name} is to give it already`,
        )
      }
    }
    const problem = earlier
      .map(({ network }) => companionProblem(part.network, part.ifname, network))
      .find((each) => each !== undefined)
    if (problem !== undefined) wrong(`${part.pointer}/network`, problem)
    const same = earlier.find(({ ifname }) => ifname !== undefined && ifname === part.ifname)
    if (same !== undefined) wrong(`${part.pointer}/ifname`, `${part.ifname} is named twice`)
  }
}

/**
 * Why a network cannot be joined in a sandbox that is in `other` already; undefined when it can. Equal
 * addresses on two interfaces could not be told apart.
 */
export function companionProblem(
  network: Network,
  ifname: string | undefined,
  other: Network,
): string | undefined {
  if (network.id === other.id) {
    if (ifname !== undefined) return undefined
    return `network ${network.name} is in this namespace already: name an interface to have it twice`
  }
  for (const prefix of network.prefixes) {
    const hit = other.prefixes.find((candidate) => prefixesOverlap(candidate, prefix))
    if (hit === undefined) continue
    return `subnet ${prefix} of network ${network.name} overlaps ${hit} of network ${other.name} in the same namespace`
  }
  return undefined
}

/**
 * Gives each address to the network that has it; throws `invalid` for one that several or none has. The
 * pointers are those of the whole request.
 */
export function assignAddresses(
  networks: readonly Network[],
  texts: readonly string[],
): readonly (readonly string[])[] {
  const assigned = networks.map((): string[] => [])
  const fields: FieldError[] = []
  for (const [i, text] of texts.entries()) {
    const address = parseIP(text)
    const homes = networks.flatMap((network, n) =>
      address !== undefined && prefixOf(network, address) !== undefined ? [n] : [],
    )
    const [home] = homes
    if (home !== undefined && homes.length === 1) {
      assigned[home]?.push(text)
      continue
    }
    const names = homes.map((n) => networks[n]?.name).join(' and ')
    const message =
      address === undefined
        ? `"${text}" is not an address`
        : home === undefined
          ? `${address} is in none of the networks ${networks.map(({ name }) => name).join(', ')}`
          : `${address} could be of networks ${names}: name it with its network`
    fields.push({ pointer: `/addresses/${i}`, message })
  }
  const [first] = fields
  if (first === undefined) return assigned
  const named = networksNamed(networks.map(({ name }) => name))
  throw new NetworkError('invalid', `Cannot attach to ${named}: ${first.message}`, { fields })
}

function checkTarget(
  { netns, pid }: AttachTarget,
  wrong: Wrong,
): CheckedAttach['target'] | undefined {
  if ((netns === undefined) === (pid === undefined)) {
    wrong('/netns', 'give either the path of a namespace or a process id')
  } else if (netns !== undefined) {
    if (netns.startsWith('/') && !netns.includes('\0')) return { netns }
    wrong('/netns', `"${netns}" is not an absolute path`)
  } else if (pid !== undefined) {
    if (Number.isInteger(pid) && pid > 0) return { pid }
    wrong('/pid', `${pid} is not a process id`)
  }
  return undefined
}

/** The addresses that can be had, of those that stand at `<pointer>/addresses`. */
export function checkAddresses(
  network: Network,
  texts: readonly string[],
  pointer: string,
  wrong: Wrong,
): readonly IP[] {
  const addresses: IP[] = []
  for (const [i, text] of texts.entries()) {
    const address = parseIP(text)
    const problem =
      address === undefined
        ? `"${text}" is not an address`
        : addressProblem(network, address, addresses)
    if (problem !== undefined) wrong(`${pointer}/addresses/${i}`, problem)
    else if (address !== undefined) addresses.push(address)
  }
  return addresses
}

/** Why an endpoint of the network cannot have the address beside `others`; undefined when it can. */
export function addressProblem(
  network: Network,
  address: IP,
  others: readonly IP[],
): string | undefined {
  const prefix = prefixOf(network, address)
  if (prefix === undefined) {
    return `${address} is not in the network, which has ${network.prefixes.join(' and ')}`
  }
  const what = reservedFor(prefix, gatewayOf(network, prefix), address)
  if (what !== undefined) return `${address} is ${what} of ${prefix}`
  const same = others.find((other) => familyOf(other) === familyOf(address))
  return same === undefined ? undefined : `${address} is a second address of the family of ${same}`
}
