/**
 * CHECK: holds what stands against what the ADD's chain came to. Runtimes call it right after ADD, and build containers
 * anew when it fails, so only what is ours and really lacking is told: plug-ins behind us may change a MAC and move
 * routes to other tables, and interfaces, addresses and routes of others are none of our business.
 */

import type { LinkView } from '../../control/sandbox-view.ts'
import type { Endpoint } from '../../model/endpoint.ts'
import type { Network } from '../../model/network.ts'
import { parseMac } from '../../net/mac.ts'
import { prefixContains } from '../../net/prefix.ts'
import { asNetnsError } from './add.ts'
import { attachedResult } from './attached-result.ts'
import { attachmentIn, type CniCall, type CniDeps, delegatedCall, networkOf } from './call.ts'
import { readPrevious } from './config.ts'
import { CNI_CODE, cniError } from './errors.ts'
import type { CniResult } from './result.ts'

export async function check(deps: CniDeps, call: CniCall): Promise<void> {
  const { control, delegates } = deps
  const { config, environment } = call
  const previous = readPrevious(config)
  if (previous === undefined) {
    throw cniError(
      CNI_CODE.INVALID_CONFIG,
      'Cannot check: prevResult is missing, which says what the ADD came to',
      { hint: 'a runtime puts there what the last plug-in of the list answered' },
    )
  }
  const network = networkOf(deps, call)
  const endpoint = control.cniEndpoint(attachmentIn(call))
  if (endpoint === undefined) throw differs(call, 'it is not attached on this host')
  const link = linkOf(deps, call, endpoint)
  const wanted = attachedResult(endpoint, network, control.shapes, {
    netns: environment.netns,
    dns: undefined,
  })
  // What the whole chain came to: a plug-in behind ours may have given it another one.
  if (link.mac !== undefined) control.followMac(endpoint.id, link.mac)
  const difference = compare({ previous, wanted, endpoint, network, link, call })
  if (difference !== undefined) throw differs(call, difference)
  const failure =
    control.failureOf('endpoint', endpoint.id) ??
    control
      .publicationsOf(endpoint.id)
      .map(({ id }) => control.failureOf('publication', id))
      .find((each) => each !== undefined)
  if (failure !== undefined) throw differs(call, failure)
  if (config.delegate !== undefined) {
    await delegates.tell(delegatedCall(call, config.delegate, 'CHECK'))
  }
}

/** The interface as it stands in the container. */
function linkOf({ control }: CniDeps, call: CniCall, { sandbox }: Endpoint): LinkView {
  const { netns, ifname } = call.environment
  try {
    const { inode, link } = control.inspector.inspect(netns, ifname)
    if (inode !== sandbox.inode) {
      throw differs(call, `it was attached in another namespace than that of ${netns}`)
    }
    if (link === undefined) throw differs(call, `there is no interface ${ifname} in ${netns}`)
    return link
  } catch (error) {
    throw asNetnsError(error, netns)
  }
}

interface Comparison {
  readonly previous: CniResult
  /** What an ADD would answer now. */
  readonly wanted: CniResult
  readonly endpoint: Endpoint
  readonly network: Network
  readonly link: LinkView
  readonly call: CniCall
}

/** The first thing that is not as it was; undefined when all is. */
function compare({
  previous,
  wanted,
  endpoint,
  network,
  link,
  call,
}: Comparison): string | undefined {
  const { ifname } = call.environment
  const at = previous.interfaces.findIndex(({ name, sandbox }) => name === ifname && sandbox)
  const told = previous.interfaces[at]
  if (told === undefined) return `prevResult does not tell of an interface ${ifname} in a sandbox`
  if (!link.up) return `interface ${ifname} is down`
  const mac = told.mac === undefined ? undefined : parseMac(told.mac)
  if (mac !== undefined && link.mac !== mac) {
    return `interface ${ifname} has MAC ${link.mac}, not ${mac}`
  }
  for (const { address, interface: index } of previous.ips) {
    const ours = network.prefixes.some((prefix) => prefixContains(prefix, address))
    if (index !== at || !ours || endpoint.addresses.includes(address)) continue
    return `address ${address} is not its own: it has ${endpoint.addresses.join(' and ')}`
  }
  const lacking = endpoint.addresses.find(
    (address) => !link.addresses.some((each) => each.address === address),
  )
  if (lacking !== undefined) return `interface ${ifname} has no address ${lacking}`
  const route = wanted.routes.find(
    ({ to }) =>
      previous.routes.some((each) => each.to === to) && !link.routes.some((each) => each.to === to),
  )
  return route && `there is no route to ${route.to} by interface ${ifname}`
}

function differs({ environment, config }: CniCall, what: string): Error {
  const { containerId, ifname } = environment
  return cniError(
    CNI_CODE.DIFFERS,
    `Cannot vouch for ${ifname} of container ${containerId} in CNI network ${config.name}: ${what}`,
    { hint: 'carrick status   # tells what the daemon is at; or DEL it and ADD it again' },
  )
}
