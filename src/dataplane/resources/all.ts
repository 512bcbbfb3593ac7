/** One resource per kind: the whole of what this program may make in a kernel. */

import type { Context } from '../context.ts'
import type { Aside } from '../put-aside.ts'
import type { Resources } from '../resource.ts'
import type { StaleFlow } from '../stale-flows.ts'
import { blocks } from './block.ts'
import { closings } from './closings.ts'
import { forgettingFlows } from './endpoint-flows.ts'
import { forwardings } from './forwarding.ts'
import { gatewayRules } from './gateway-rules.ts'
import { type GatewayListeners, gateways } from './gateways.ts'
import { hostRoutes, hostRules } from './host-routes.ts'
import { interiors } from './interiors.ts'
import { loopbackPorts, socketHooks } from './loopback-ports.ts'
import { passages } from './passage.ts'
import { peers } from './peers.ts'
import { programs } from './programs.ts'
import { publications } from './publications.ts'
import { resolverDevices } from './resolver-device.ts'
import { rulesets } from './ruleset.ts'
import {
  configs,
  deviceEntries,
  directPrefixes,
  endpointEntries,
  gatewayEntries,
  networkEntries,
} from './tables.ts'
import { veths } from './veths.ts'
import { vxlanDevices } from './vxlan-device.ts'

/** Who is told of what the resources leave to others. */
export interface Listeners extends GatewayListeners {
  /** A pair that is left to the reaper. */
  dying(aside: Aside): void
  /** Connections that are to be forgotten once the change that follows is made. */
  stale(flows: readonly StaleFlow[]): void
  /** What a firewall keeps us from, whenever it was looked. */
  obstacles(warnings: readonly string[]): void
}

export function allResources(context: Context, listeners: Listeners): Resources {
  return {
    ruleset: rulesets(context.kernel, context.tableFile),
    passage: passages(context.kernel, (warnings) => listeners.obstacles(warnings)),
    closing: closings(context.kernel, context.closing),
    'host-rule': hostRules(context.kernel),
    forwarding: forwardings(context),
    'resolver-device': resolverDevices(context),
    'vxlan-device': vxlanDevices(context.kernel, context.devices),
    config: configs(context),
    block: blocks(context.kernel),
    program: programs(context),
    gateway: gateways(context, listeners),
    'gateway-entry': gatewayEntries(context),
    'gateway-rules': gatewayRules(context.kernel),
    'host-route': hostRoutes(context),
    network: networkEntries(context),
    'direct-prefix': directPrefixes(context),
    peer: peers(context),
    veth: veths(context, (aside) => listeners.dying(aside)),
    device: deviceEntries(context),
    endpoint: forgettingFlows(endpointEntries(context), context.datapath, (flows) =>
      listeners.stale(flows),
    ),
    interior: interiors(context),
    'socket-hooks': socketHooks(context.hooks),
    'loopback-port': loopbackPorts(context.hooks),
    publication: publications(context.kernel, (flows) => listeners.stale(flows)),
  }
}
