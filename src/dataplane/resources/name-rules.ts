/**
 * The rules of our table for questions for names: what asks at port 53 of the resolver is led to the door of
 * the network that it came from, by the device of its gateway, or to the one that knows no network. The doors
 * themselves are for nobody who was not led there.
 */

import type { ResolverDoors } from '../../hoststate/ruleset.ts'
import { MARK } from '../../hoststate/state.ts'
import { familyOf, type IP } from '../../net/ip.ts'

/** RFC 1035 §4.2 */
const DNS_PORT = 53

export interface NameRules {
  /** What is addressed to the resolver, one match for each family. */
  readonly at: readonly string[]
  /** The way to `translate` for what asks there. */
  readonly lead: readonly string[]
  readonly translate: readonly string[]
  /** For what comes in by a gateway: by some, questions are all that may. */
  readonly check: readonly string[]
}

/** No way leads to the resolver where names are not served. */
export function nameRules(resolver: ResolverDoors | undefined): NameRules {
  const { addresses = [], port = 0, closed = [] } = resolver ?? {}
  const at = addresses.map((address) => `${ip(address)} daddr ${address}`)
  const strangers = closed.map((device) => `"${device}"`).join(', ')
  return {
    at,
    lead: at.map((each) => `${each} meta l4proto { tcp, udp } th dport ${DNS_PORT} jump names`),
    translate: [
      ...addresses.map((each) => `${dnat(each)} iifname map @resolvers${familyOf(each)}`),
      `meta iifgroup ${MARK.gatewayGroup} counter drop`,
      ...(strangers === '' ? [] : [`iifname { ${strangers} } counter drop`]),
      ...addresses.map(
        (each) => `${dnat(each)} ${familyOf(each) === 4 ? each : `[${each}]`}:${port}`,
      ),
    ],
    check: ([4, 6] as const).map((family) => {
      const address = addresses.find((each) => familyOf(each) === family)
      const others = address === undefined ? '' : ` ${ip(address)} daddr != ${address}`
      return `iifname @internal meta nfproto ipv${family}${others} counter drop`
    }),
  }
}

function ip(address: IP): string {
  return familyOf(address) === 4 ? 'ip' : 'ip6'
}

function dnat(address: IP): string {
  return `meta nfproto ipv${familyOf(address)} meta l4proto { tcp, udp } dnat ${ip(address)} to`
}
