/**
 * Routes of the host itself into its networks, and the rules by which marked packets and bound sockets ask
 * other tables than the main one. Ours are known by their protocol number; in the main table they have a
 * metric of their own, so that none of anybody else's is replaced.
 */

import type { HostRoute, HostRule } from '../../hoststate/gateway.ts'
import { MARK } from '../../hoststate/state.ts'
import type { Kernel, NewRule } from '../../kernel/kernel.ts'
import { parseIP } from '../../net/ip.ts'
import { parsePrefix } from '../../net/prefix.ts'
import type { Context } from '../context.ts'
import type { Resource } from '../resource.ts'

const OURS = { protocol: MARK.routeProtocol } as const

export function hostRoutes({ kernel, devices }: Context): Resource<HostRoute> {
  return {
    kind: 'host-route',
    equal: (want, have) => want.source === have.source,
    list: () =>
      kernel.routes.list(OURS).flatMap((route): HostRoute[] => {
        const prefix = parsePrefix(route.destination)
        const device = route.device === undefined ? undefined : devices.nameOf(route.device)
        if (prefix === undefined || device === undefined) return []
        const source = parseIP(route.preferredSource ?? '')
        const { table } = route
        const at = { kind: 'host-route', prefix, table, device } as const
        return [source === undefined ? at : { ...at, source }]
      }),
    put: ({ prefix, table, device, source }) =>
      kernel.routes.put({
        destination: prefix,
        table,
        device: devices.of(device),
        metric: MARK.routeMetric,
        ...OURS,
        ...(source === undefined ? {} : { preferredSource: source }),
      }),
    remove({ prefix, table, device }) {
      const link = kernel.links.get(device)
      // With its device a route is gone already.
      if (link === undefined) return
      const key = { destination: prefix, table, metric: MARK.routeMetric, device: link.index }
      kernel.routes.remove({ ...key, ...OURS })
    },
  }
}

export function hostRules(kernel: Kernel): Resource<HostRule> {
  return {
    kind: 'host-rule',
    equal: () => true, // everything a rule says is in its key
    list: () =>
      kernel.rules
        .list(OURS)
        .filter(({ priority }) => priority !== MARK.closingRulePriority)
        .map(({ family, priority, table, mark, mask, outputDevice }): HostRule => {
          return {
            kind: 'host-rule',
            family,
            priority,
            table,
            ...(mark === undefined ? {} : { mark, mask: mask ?? 0xffffffff }),
            ...(outputDevice === undefined ? {} : { outputDevice }),
          }
        }),
    put: (want) => kernel.rules.put(ruleOf(want)),
    remove: (have) => kernel.rules.remove(ruleOf(have)),
  }
}

function ruleOf({ kind: _, ...rest }: HostRule): NewRule {
  return { ...rest, ...OURS }
}
