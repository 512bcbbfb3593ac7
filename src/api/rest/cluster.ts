/** Tokens, joining, status and drops: what concerns this host and its cluster as a whole. */

import { NetworkError } from '../../lib/errors.ts'
import { type HandlerDeps, type Handlers, settle } from './call.ts'
import { dropView, statusView, tokenView } from './views.ts'

export function clusterHandlers({
  control,
  join,
}: HandlerDeps): Handlers<'createToken' | 'join' | 'getStatus' | 'listDrops'> {
  return {
    async createToken({ body: { spec } }) {
      return tokenView(await control.createToken(spec), spec.ttlSeconds)
    },

    async join({ body: { spec } }) {
      if (join === undefined) {
        throw new NetworkError(
          'unsupported',
          'Cannot join: this daemon was given its store by its settings',
          { hint: 'carrick daemon --check-config' },
        )
      }
      return { apiVersion: 'v1', kind: 'Joined', status: await join(spec) }
    },

    async getStatus({ query }) {
      return statusView((await settle(control, query)) ?? control.status())
    },

    async listDrops({ query }) {
      const drops = await control.listDrops({ all: query.all === 'true' })
      return { apiVersion: 'v1', kind: 'DropList', metadata: {}, items: drops.map(dropView) }
    },
  }
}
