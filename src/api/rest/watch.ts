/**
 * Lists that stay: server-sent events with one `reset` (the whole list), then `put` and `delete` for each
 * change. Every connection begins with a reset, so no event carries an id and nothing is ever resumed; a
 * reader that falls behind is cut off and comes back to a reset.
 */

import type { Collection, Listed, PageQuery } from './list.ts'
import { selection } from './list.ts'

export interface Change {
  readonly kind: 'network' | 'endpoint' | 'publication' | 'host'
  readonly id: string
}

/** Calls back after each change of the replica or the journal; answers the way to stop. */
export type Subscribe = (listener: (change: Change) => void) => () => void

const HEARTBEAT_MS = 15_000
const COALESCE_MS = 50
/** Events a reader may be behind before it is cut. */
const BACKLOG = 1024

/** An event stream of the collection that ends when the reader goes or falls behind. */
export function watchResponse<T extends Listed, View>(
  collection: Collection<T, View>,
  query: PageQuery,
  subscribe: Subscribe,
): Response {
  const selected = selection(query)
  const known = new Set<string>()
  const changed = new Set<string>()
  const stops: (() => void)[] = []
  const stop = (): void => {
    for (const end of stops.splice(0)) end()
  }

  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const encoder = new TextEncoder()
        const send = (text: string): void => {
          controller.enqueue(encoder.encode(text))
          if ((controller.desiredSize ?? 0) > 0) return
          stop()
          controller.close()
        }
        const flush = (): void => {
          for (const id of changed) {
            changed.delete(id)
            const item = collection.find(id)
            if (item !== undefined && selected(item.labels)) {
              known.add(id)
              send(event('put', collection.views([item])[0]))
            } else if (known.delete(id)) {
              send(event('delete', { metadata: { id } }))
            }
            if (stops.length === 0) return
          }
        }

        let timer: NodeJS.Timeout | undefined
        const unsubscribe = subscribe(({ kind, id }) => {
          if (kind !== collection.kind.toLowerCase()) return
          changed.add(id)
          timer ??= setTimeout(() => {
            timer = undefined
            flush()
          }, COALESCE_MS)
        })
        const heartbeat = setInterval(() => send(':\n\n'), HEARTBEAT_MS)
        stops.push(
          unsubscribe,
          () => clearTimeout(timer),
          () => clearInterval(heartbeat),
        )

        const items = collection.all().filter(({ labels }) => selected(labels))
        for (const { id } of items) known.add(id)
        send(
          event('reset', {
            apiVersion: 'v1',
            kind: `${collection.kind}List`,
            metadata: {},
            items: collection.views(items),
          }),
        )
      },
      cancel: stop,
    },
    new CountQueuingStrategy({ highWaterMark: BACKLOG }),
  )
  return new Response(body, {
    headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store' },
  })
}

function event(name: string, data: unknown): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
}
