/**
 * What the kernel's notices say about gateways and what goes with them: the kinds of things of ours that may
 * no longer be as wanted. What we change ourselves brings notices too; a look then finds all as it should be.
 */

import type { Kind, Wanted } from '../hoststate/state.ts'
import { MARK } from '../hoststate/state.ts'
import type { Notice } from '../kernel/notices.ts'
import { isOurs } from './facts.ts'

/** What stands in our table. */
export const TABLE_KINDS: readonly Kind[] = [
  'ruleset',
  'forwarding',
  'gateway-rules',
  'publication',
]

const RESOLVER_ENDS: readonly string[] = [MARK.resolverDevice, MARK.resolverPeer]

/** `wantedAt` tells what is wanted; `nameOf` the name of a device by its number. */
export function gatewaySuspects(
  notice: Notice,
  wantedAt: (kind: Kind, key: string) => Wanted | undefined,
  nameOf: (device: number) => string | undefined,
): readonly Kind[] {
  switch (notice.kind) {
    case 'link': {
      const { link } = notice
      if (RESOLVER_ENDS.includes(link.name)) return ['resolver-device']
      if (!isOurs(link)) return ['forwarding']
      const ofGateway = link.group === MARK.gatewayGroup || link.group === MARK.gatewayPeerGroup
      return ofGateway || wantedAt('gateway', link.name) !== undefined ? ['gateway'] : []
    }
    case 'address': {
      const name = nameOf(notice.address.device) ?? ''
      if (name === MARK.resolverDevice) return ['resolver-device']
      if (wantedAt('gateway', name) !== undefined) return ['gateway', 'host-route']
      return name.startsWith(MARK.devicePrefix) ? [] : ['forwarding']
    }
    case 'route': {
      const { change, route } = notice
      return change === 'remove' && route.protocol === MARK.routeProtocol ? ['host-route'] : []
    }
    case 'rule':
      return ['host-rule', 'closing']
    default:
      return []
  }
}
