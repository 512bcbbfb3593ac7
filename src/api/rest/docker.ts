/** This host's container engine over REST. */

import { NetworkError } from '../../lib/errors.ts'
import type { HandlerDeps, Handlers } from './call.ts'

export function dockerHandlers({ docker }: HandlerDeps): Handlers<'getDocker'> {
  return {
    getDocker() {
      const view = docker?.()
      if (view === undefined) {
        throw new NetworkError('unavailable', 'Cannot tell of the engine: the daemon is starting', {
          hint: 'carrick status --wait',
        })
      }
      return { apiVersion: 'v1', kind: 'Docker', metadata: {}, status: view }
    },
  }
}
