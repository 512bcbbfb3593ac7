/** Options of `podman network create -o`: those of Docker's networks, and Podman's own names for some of them. */

import { NetworkError } from '../../lib/errors.ts'
import { type NetworkOptions, readNetworkOptions } from '../docker/options.ts'

/** Podman's own. containers-common, network options of the driver `bridge` */
export const PODMAN_OPTIONS = {
  mtu: 'Same as carrick.mtu',
  no_default_route: 'true: the network never gives a container its default route',
} as const

/** Name of ours, where Podman's is another: what `create` answers, and `setup` finds again. */
export const OWN_NAME = 'carrick.network'

/** Throws `invalid` with everything that is wrong. */
export function readOptions(chosen: Readonly<Record<string, string>>): NetworkOptions {
  const { mtu, no_default_route: _flag, ...rest } = chosen
  hasNoDefaultRoute(chosen)
  return readNetworkOptions(mtu === undefined ? rest : { 'carrick.mtu': mtu, ...rest })
}

/** Throws `invalid`. */
export function hasNoDefaultRoute({
  no_default_route: text = 'false',
}: Readonly<Record<string, string>>): boolean {
  if (['true', 'false', '1', '0'].includes(text)) return text === 'true' || text === '1'
  throw new NetworkError(
    'invalid',
    `Cannot take -o no_default_route=${text}: true or false is needed`,
  )
}
