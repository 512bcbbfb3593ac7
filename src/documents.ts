/** Which documents of the REST API change when what this host knows does. */

import type { Subscribe } from './api/rest/watch.ts'
import type { Replica } from './store/replica/replica.ts'

/** Tells of every document that may be another than before. */
export function documentChanges(replica: Replica): Subscribe {
  return (listener) =>
    replica.subscribe((changes) => {
      for (const change of changes) {
        switch (change.kind) {
          case 'publication': // the document of its endpoint shows it too
            listener({ kind: 'endpoint', id: change.endpointId })
            listener({ kind: change.kind, id: change.id })
            break
          case 'network':
          case 'endpoint':
          case 'host':
            listener({ kind: change.kind, id: change.id })
            break
          default: // no documents of their own
        }
      }
    })
}
