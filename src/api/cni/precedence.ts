/**
 * Podman attaches the networks of a container in no order, and tells each of all ports. Whichever comes first, the
 * interface with the lowest number has the default route and the ports, as users wrote their networks: one that comes
 * before those that stand takes both over.
 */

import type { CniControl } from '../../control/cni-control.ts'
import type { Control } from '../../control/control.ts'
import type { Network } from '../../model/network.ts'

export type PrecedenceUses = Pick<CniControl, 'cniEndpointsOf'> &
  Pick<Control, 'getNetwork' | 'publicationsOf' | 'unpublish'>

/** As Podman names interfaces by itself; with other names nobody has said an order. */
const NUMBERED = /^eth(\d{1,4})$/

/** True when the interface shall have the default route, which others have until now; their ports are let go. */
export async function takeOver(
  control: PrecedenceUses,
  container: string,
  ifname: string,
  network: Network,
): Promise<boolean> {
  const number = numberOf(ifname)
  if (number === undefined || network.internal) return false
  const others = control
    .cniEndpointsOf(container)
    .filter(({ networkId }) => !control.getNetwork(networkId).internal)
  if (others.length === 0) return false
  const isFirst = others.every((other) => (numberOf(other.ifname) ?? -1) > number)
  if (!isFirst) return false
  const published = others.flatMap(({ id }) => control.publicationsOf(id))
  for (const { id } of published) await control.unpublish(id)
  return true
}

function numberOf(ifname: string): number | undefined {
  const digits = NUMBERED.exec(ifname)?.[1]
  return digits === undefined ? undefined : Number(digits)
}
