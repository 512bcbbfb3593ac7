/** Options of `podman network create -o`: those of Docker's networks, and Podman's own names for some of them. */

import { NetworkError } from '../../lib/errors.ts'
import { nearest } from '../../lib/nearest.ts'
import { NETWORK_OPTIONS, type NetworkOptions, readNetworkOptions } from '../docker/options.ts'

/** Podman's own. podman-network-create(1), options of the driver `bridge` */
const PODMAN_OPTIONS = ['mtu', 'no_default_route']
const KNOWN = [...PODMAN_OPTIONS, ...Object.keys(NETWORK_OPTIONS)]

/** Name of ours, where Podman's is another: what `create` answers, and `setup` finds again. */
export const OWN_NAME = 'carrick.network'

/** Throws `invalid` for an option that would do nothing, and for a value that makes no sense. */
export function readOptions(chosen: Readonly<Record<string, string>>): NetworkOptions {
  const unknown = Object.keys(chosen).find((key) => !KNOWN.includes(key))
  if (unknown !== undefined) {
    const meant = nearest(unknown, KNOWN)
    const help = meant === undefined ? `known are ${KNOWN.join(', ')}` : `did you mean ${meant}?`
    throw new NetworkError('invalid', `Cannot take -o ${unknown}: it is not known; ${help}`)
  }
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
