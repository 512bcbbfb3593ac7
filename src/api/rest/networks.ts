/** Networks over REST. */

import type { z } from 'zod'
import type { Control } from '../../control/control.ts'
import { isNetworkError, NetworkError } from '../../lib/errors.ts'
import type { DockerSide } from '../../model/engine-network.ts'
import type { Network } from '../../model/network.ts'
import { parsePrefix } from '../../net/prefix.ts'
import { defined, etagOf, type HandlerDeps, type Handlers, removeMatching, settle } from './call.ts'
import type { dockerWish } from './docker-schemas.ts'
import { listOrWatch } from './list-or-watch.ts'
import { networkView } from './views.ts'

export function networkHandlers({
  control,
  subscribe,
  caller,
}: HandlerDeps): Handlers<
  'listNetworks' | 'createNetwork' | 'getNetwork' | 'patchNetwork' | 'deleteNetwork'
> {
  const collection = {
    kind: 'Network' as const,
    all: () => control.listNetworks(),
    find: (id: string) => findNetwork(control, id),
    views: (networks: readonly Network[]) => networks.map((network) => networkView(network)),
  }
  return {
    listNetworks: ({ query }) => listOrWatch(collection, query, subscribe),

    async createNetwork({ body: { metadata, spec }, query, pid }) {
      const force = query.force === 'true'
      const { docker, ...wanted } = spec
      const network = await control.createNetwork({
        ...{ ...defined(metadata), ...defined(wanted), force },
        ...(docker === undefined ? {} : { docker: sideOf(docker, metadata.name) }),
        ...(force ? { by: caller?.(pid) ?? {} } : {}),
      })
      await settle(control, query)
      return networkView(network)
    },

    getNetwork: ({ params }) => networkView(control.getNetwork(params.network)),

    async patchNetwork({ params, body: { metadata, spec }, query, ifMatch, pid }) {
      const patch = { ...defined(metadata ?? {}), ...defined(spec ?? {}) }
      const matches = (network: Network): boolean =>
        ifMatch === undefined || ifMatch === '*' || ifMatch.includes(etagOf(networkView(network)))
      const { network, notes } = await control.changeNetwork(params.network, patch, {
        matches,
        ...(query.force === 'true' ? { force: true, by: caller?.(pid) ?? {} } : {}),
      })
      await settle(control, query)
      return networkView(network, notes)
    },

    async deleteNetwork({ params, query, ifMatch }) {
      await removeMatching(
        ifMatch,
        () => networkView(control.getNetwork(params.network)),
        () => control.removeNetwork(params.network),
      )
      await settle(control, query)
      return undefined
    },
  }
}

/** Throws `invalid` for a range that is none. */
function sideOf(docker: z.output<typeof dockerWish>, networkName: string): DockerSide {
  const { name = networkName, options = {}, labels = {}, ranges = [] } = docker
  const prefixes = ranges.map((text, i) => {
    const range = parsePrefix(text)
    if (range !== undefined) return range
    const fields = [{ pointer: `/docker/ranges/${i}`, message: `"${text}" is not a range` }]
    throw new NetworkError(
      'invalid',
      `Cannot create network "${networkName}": "${text}" is not a range of addresses`,
      { fields },
    )
  })
  return { name, options, labels, ranges: prefixes }
}

/** The network with this id, or undefined. */
export function findNetwork(control: Control, id: string) {
  try {
    return control.getNetwork(id)
  } catch (error) {
    if (!isNetworkError(error, 'not-found')) throw error
    return undefined
  }
}
