/** What an attach may ask for: checks what the user typed against the network. Pure. */

import { type FieldError, NetworkError } from '../lib/errors.ts'
import { interfaceNameProblem, isName } from '../model/names.ts'
import type { Network } from '../model/network.ts'
import { familyOf, type IP, parseIP } from '../net/ip.ts'
import { isUnicastMac, type Mac, parseMac } from '../net/mac.ts'
import type { AttachSpec } from './control.ts'
import { reservedFor } from './ipam/layout.ts'
import { gatewayOf, prefixOf } from './ipam/territory.ts'
import { checkLabels, nameProblem } from './network-spec.ts'

export interface CheckedAttach {
  readonly target: { readonly netns: string } | { readonly pid: number }
  /** What the target is called in messages. */
  readonly targetName: string
  readonly addresses: readonly IP[]
  readonly mac: Mac | undefined
  readonly name: string | undefined
  readonly labels: Readonly<Record<string, string>>
  readonly ifname: string
}

/** The checked form of `spec`; throws `invalid` with every wrong field. */
export function checkAttach(network: Network, spec: AttachSpec): CheckedAttach {
  const fields: FieldError[] = []
  const wrong = (pointer: string, message: string): void => {
    fields.push({ pointer, message })
  }
  const target = checkTarget(spec, wrong)
  const addresses = checkAddresses(network, spec.addresses ?? [], wrong)
  const mac = spec.mac === undefined ? undefined : parseMac(spec.mac)
  if (spec.mac !== undefined && (mac === undefined || !isUnicastMac(mac))) {
    wrong(
      '/mac',
      `"${spec.mac}" is not the MAC address of one device: write it like 0a:00:00:00:00:50`,
    )
  }
  if (spec.name !== undefined && !isName(spec.name)) wrong('/name', nameProblem(spec.name))
  const ifname = spec.ifname ?? 'eth0'
  const problem = ifname === 'lo' ? 'every namespace has one' : interfaceNameProblem(ifname)
  if (problem !== undefined) wrong('/ifname', `"${ifname}" cannot name an interface: ${problem}`)
  checkLabels(spec.labels ?? {}, wrong)
  const [first] = fields
  if (first !== undefined || target === undefined) {
    throw new NetworkError(
      'invalid',
      `Cannot attach to network ${network.name}: ${first?.message}`,
      {
        fields,
        details: { network: network.name },
      },
    )
  }
  const targetName = 'pid' in target ? `process ${target.pid}` : target.netns
  const { name, labels = {} } = spec
  return { target, targetName, addresses, mac, name, labels, ifname }
}

type Wrong = (pointer: string, message: string) => void

function checkTarget(
  { netns, pid }: AttachSpec,
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

function checkAddresses(network: Network, texts: readonly string[], wrong: Wrong): readonly IP[] {
  const addresses: IP[] = []
  for (const [i, text] of texts.entries()) {
    const address = parseIP(text)
    const problem =
      address === undefined
        ? `"${text}" is not an address`
        : addressProblem(network, address, addresses)
    if (problem !== undefined) wrong(`/addresses/${i}`, problem)
    else if (address !== undefined) addresses.push(address)
  }
  return addresses
}

function addressProblem(network: Network, address: IP, others: readonly IP[]): string | undefined {
  const prefix = prefixOf(network, address)
  if (prefix === undefined) {
    return `${address} is not in the network, which has ${network.prefixes.join(' and ')}`
  }
  const what = reservedFor(prefix, gatewayOf(network, prefix), address)
  if (what !== undefined) return `${address} is ${what} of ${prefix}`
  const same = others.find((other) => familyOf(other) === familyOf(address))
  return same === undefined ? undefined : `${address} is a second address of the family of ${same}`
}
