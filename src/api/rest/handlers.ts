/** What each operation does: a call of `control`, and its answer as a document. No state is kept here. */

import { addressHandlers } from './addresses.ts'
import type { HandlerDeps, Handlers } from './call.ts'
import { clusterHandlers } from './cluster.ts'
import { dockerHandlers } from './docker.ts'
import { endpointHandlers } from './endpoints.ts'
import { hostHandlers } from './hosts.ts'
import { networkHandlers } from './networks.ts'
import { publicationHandlers } from './publications.ts'

export function createHandlers(deps: HandlerDeps): Handlers {
  return {
    ...networkHandlers(deps),
    ...endpointHandlers(deps),
    ...publicationHandlers(deps),
    ...hostHandlers(deps),
    ...clusterHandlers(deps),
    ...addressHandlers(deps),
    ...dockerHandlers(deps),
  }
}
