/** What firewalls of others have to let pass: nothing as long as there is no network that needs it. */

import { packetMarks } from '../hoststate/marks.ts'
import type { PassageHook } from '../hoststate/ports.ts'
import type { Wanted } from '../hoststate/state.ts'
import type { Network } from '../model/network.ts'
import { acceptsRemote } from './carriers/carrier.ts'

/** Forwarded packets of networks with a way out; VXLAN of those that reach other hosts; questions for names. */
export function planPassage(
  networks: readonly Network[],
  packetMarkMask: number,
  namesServed: boolean,
): readonly Wanted[] {
  const hooks: PassageHook[] = []
  if (networks.some(({ internal }) => !internal)) hooks.push('forward')
  if (networks.some((each) => namesServed || acceptsRemote(each))) hooks.push('input')
  return hooks.length === 0
    ? []
    : [{ kind: 'passage', mark: packetMarks(packetMarkMask).passed, hooks }]
}
