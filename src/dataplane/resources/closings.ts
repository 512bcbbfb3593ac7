/**
 * The closed way out while our table is missing: by a program at netfilter's hooks, or where the kernel has
 * none by a routing rule for each family, which costs every packet of the host another look-up.
 */

import type { Closing as Wanted } from '../../hoststate/gateway.ts'
import { MARK } from '../../hoststate/state.ts'
import type { Kernel, NewRule } from '../../kernel/kernel.ts'
import type { Closing } from '../closing.ts'
import type { Resource } from '../resource.ts'

const FAMILIES = [4, 6] as const

export function closings(kernel: Kernel, closing: Closing): Resource<Wanted> {
  const rules = (): readonly number[] =>
    FAMILIES.flatMap((family) =>
      kernel.rules
        .list({ family, protocol: MARK.routeProtocol })
        .filter(({ priority }) => priority === MARK.closingRulePriority)
        .flatMap(({ mark }) => mark ?? []),
    )
  const removeRules = (mark: number): void => {
    for (const family of FAMILIES) kernel.rules.remove(ruleOf(family, mark))
  }

  return {
    kind: 'closing',
    equal: (want, have) => want.mark === have.mark,
    list() {
      const mark = closing.read()
      const [first, second] = rules()
      if (mark !== undefined && first === undefined) return [{ kind: 'closing', mark }]
      if (mark === undefined && first !== undefined && first === second) {
        return [{ kind: 'closing', mark: first }]
      }
      return mark === undefined && first === undefined ? [] : [{ kind: 'closing', mark: 0 }]
    },
    put({ mark }) {
      const others = rules()
      if (closing.close(mark)) {
        for (const other of new Set(others)) removeRules(other)
        return
      }
      for (const family of FAMILIES) kernel.rules.put(ruleOf(family, mark))
      for (const other of new Set(others)) if (other !== mark) removeRules(other)
    },
    remove() {
      closing.open()
      for (const mark of new Set(rules())) removeRules(mark)
    },
  }
}

function ruleOf(family: 4 | 6, mark: number): NewRule {
  return {
    family,
    priority: MARK.closingRulePriority,
    table: 0,
    mark,
    mask: mark,
    protocol: MARK.routeProtocol,
    action: 'blackhole',
  }
}
