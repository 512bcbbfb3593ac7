/** `ls` of every noun: once, or with --watch for as long as the user likes. */

import type { ListOf } from '../api/rest/schema-parts.ts'
import type { Query, WatchEvent } from './client.ts'
import type { Context } from './command.ts'
import { arrange, printList, type Shape } from './output.ts'

interface Identified {
  readonly metadata: { readonly id: string }
}

export async function showList<T extends Identified>(
  context: Context,
  path: string,
  shape: Shape<T>,
  query: Query = {},
): Promise<void> {
  const selector = context.options['selector'] as string | undefined // text, or not given
  const selected = { ...query, labelSelector: selector }
  if (context.options['watch'] === true) await showChanges(context, path, shape, selected)
  else await context.list(await context.client.list<T>(path, selected), shape)
}

/**
 * With json one object per line, as they come: `{"event":"put","object":...}`. Else the whole list after
 * each change, set apart by an empty line, or on a cleared screen.
 */
async function showChanges<T extends Identified>(
  context: Context,
  path: string,
  shape: Shape<T>,
  query: Query,
): Promise<void> {
  const { io, output } = context
  const items = new Map<string, T>()
  for await (const event of context.client.watch<T>(path, query)) {
    if (output.format === 'json') {
      await io.writeOut(`${JSON.stringify({ event: event.name, object: event.data })}\n`)
      continue
    }
    follow(items, event)
    const now = { ...output, nowMs: io.now() }
    const text = await printList(arrange([...items.values()], shape, now), shape, now)
    await io.writeOut(io.stdoutIsTerminal ? `\x1b[H\x1b[2J${text}` : `${text}\n`)
  }
}

function follow<T extends Identified>(items: Map<string, T>, event: WatchEvent<T>): void {
  switch (event.name) {
    case 'reset':
      items.clear()
      for (const item of (event.data as ListOf<T>).items) items.set(item.metadata.id, item)
      break
    case 'put':
      items.set(event.data.metadata.id, event.data)
      break
    case 'delete':
      items.delete(event.data.metadata.id)
      break
    default:
      event satisfies never
  }
}
