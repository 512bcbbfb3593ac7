/** One resource per kind: the whole of what this program may make in a kernel. */

import type { Context } from '../context.ts'
import type { Aside } from '../put-aside.ts'
import type { Resources } from '../resource.ts'
import { blocks } from './block.ts'
import { interiors } from './interiors.ts'
import { peers } from './peers.ts'
import { programs } from './programs.ts'
import { rulesets } from './ruleset.ts'
import {
  configs,
  deviceEntries,
  directPrefixes,
  endpointEntries,
  networkEntries,
} from './tables.ts'
import { veths } from './veths.ts'
import { vxlanDevices } from './vxlan-device.ts'

/** `onDying` is told of every pair that is left to the reaper. */
export function allResources(context: Context, onDying: (aside: Aside) => void): Resources {
  return {
    ruleset: rulesets(context.kernel),
    'vxlan-device': vxlanDevices(context.kernel, context.devices),
    config: configs(context),
    block: blocks(context.kernel),
    program: programs(context),
    network: networkEntries(context),
    'direct-prefix': directPrefixes(context),
    peer: peers(context),
    veth: veths(context, onDying),
    device: deviceEntries(context),
    endpoint: endpointEntries(context),
    interior: interiors(context),
  }
}
