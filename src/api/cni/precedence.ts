/**
 * Podman attaches the networks of a container in no order, and tells each of all ports. Whichever comes first, the
 * interface with the lowest number has the default route and the ports, as users wrote their networks: one that comes
 * before those that stand takes both over, in the commit of its own attach.
 */

import type { CniControl } from '../../control/cni-control.ts'
import type { Control } from '../../control/control.ts'
import type { Network } from '../../model/network.ts'

export type PrecedenceUses = Pick<CniControl, 'cniEndpointsOf'> &
  Pick<Control, 'getNetwork' | 'publicationsOf'>

/** As Podman names interfaces by itself; with other names nobody has said an order. */
const NUMBERED = /^eth(\d{1,4})$/

/** What an attach asks for to lead the container's others; nothing when it does not. */
export interface Precedence {
  readonly defaultRoute?: true
  /** Ids of publications that the others have until now. */
  readonly movePorts?: readonly string[]
}

/** What the interface takes over from those that stand. */
export function precedenceOf(
  control: PrecedenceUses,
  container: string,
  ifname: string,
  network: Network,
): Precedence {
  const number = numberOf(ifname)
  if (number === undefined || network.internal) return {}
  const others = control
    .cniEndpointsOf(container)
    .filter(({ networkId }) => !control.getNetwork(networkId).internal)
  if (others.length === 0) return {}
  const isFirst = others.every((other) => (numberOf(other.ifname) ?? -1) > number)
  if (!isFirst) return {}
  const movePorts = others.flatMap(({ id }) => control.publicationsOf(id)).map(({ id }) => id)
  return { defaultRoute: true, movePorts }
}

function numberOf(ifname: string): number | undefined {
  const digits = NUMBERED.exec(ifname)?.[1]
  return digits === undefined ? undefined : Number(digits)
}
