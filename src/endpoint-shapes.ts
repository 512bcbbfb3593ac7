/** What the plan makes of an endpoint, for the front ends that tell it: control itself does not know the plan. */

import type { KernelShapes } from './control/sandbox-view.ts'
import { FABRIC_MAC } from './hoststate/state.ts'
import type { Host } from './model/host.ts'
import type { IP } from './net/ip.ts'
import { endpointMtuBytes } from './plan/attachments/veth.ts'
import { gatewayDevice } from './plan/gateway.ts'
import { networkMtuBytes } from './plan/plan.ts'

export function endpointShapes(self: () => Host, resolvers: readonly IP[]): KernelShapes {
  return {
    resolvers,
    shapeOf: (endpoint, network) => ({
      mtuBytes: endpointMtuBytes(endpoint, networkMtuBytes(network, self())),
      hostMac: FABRIC_MAC,
      gateway: network.internal ? undefined : { device: gatewayDevice(network), mac: FABRIC_MAC },
    }),
  }
}
