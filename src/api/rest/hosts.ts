/** Hosts over REST. */

import type { Control, HostView } from '../../control/control.ts'
import { isNetworkError } from '../../lib/errors.ts'
import { type HandlerDeps, type Handlers, removeMatching, settle } from './call.ts'
import { listOrWatch } from './list-or-watch.ts'
import { hostView } from './views.ts'

const NO_LABELS = {}

export function hostHandlers({
  control,
  subscribe,
}: HandlerDeps): Handlers<'listHosts' | 'getHost' | 'deleteHost'> {
  const listed = (view: HostView) => ({ id: view.host.id, labels: NO_LABELS, view })
  const collection = {
    kind: 'Host' as const,
    all: () => control.listHosts().map(listed),
    find: (id: string) => {
      const view = findHost(control, id)
      return view === undefined ? undefined : listed(view)
    },
    views: (hosts: readonly ReturnType<typeof listed>[]) => hosts.map(({ view }) => hostView(view)),
  }
  return {
    listHosts: ({ query }) => listOrWatch(collection, query, subscribe),

    getHost: ({ params }) => hostView(control.getHost(params.host)),

    async deleteHost({ params, query, ifMatch }) {
      await removeMatching(
        ifMatch,
        () => hostView(control.getHost(params.host)),
        () => control.removeHost(params.host),
      )
      await settle(control, query)
      return undefined
    },
  }
}

/** The host with this id, or undefined. */
export function findHost(control: Control, id: string): HostView | undefined {
  try {
    return control.getHost(id)
  } catch (error) {
    if (!isNetworkError(error, 'not-found')) throw error
    return undefined
  }
}
