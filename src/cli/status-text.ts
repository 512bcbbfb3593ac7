/** A host's status as a page for people. */

import type { Status } from '../api/rest/schemas.ts'
import { formatCount } from '../lib/units.ts'
import { type Cell, formatTable, type Tone } from './table.ts'

/** Without the final line end. */
export function statusText({ metadata, status }: Status, colour: boolean): string {
  const { store, endpoints } = status
  const behind = status.journalSequence - status.publishedSequence
  const repaired = Object.entries(status.driftRepaired).map(([kind, n]) => `${kind} ${n}`)
  const rows: Cell[][] = [
    row('host', `${metadata.name} (${metadata.id})`),
    row('version', status.version),
    row(
      'store',
      `${store.kind} ${store.address}, ${store.connected ? 'connected' : 'not connected'}, revision ${formatCount(store.revision)}`,
      store.connected ? 'good' : 'bad',
    ),
    row(
      'published',
      behind === 0 ? 'everything' : `all but the last ${formatCount(behind)} changes`,
    ),
    row('settled', status.settled ? 'yes' : 'no', status.settled ? 'good' : 'bad'),
    row('networks', formatCount(status.networks)),
    row(
      'endpoints',
      `${formatCount(endpoints.local)} here, ${formatCount(endpoints.remote)} elsewhere`,
    ),
    row('repaired', repaired.join(', ') || 'nothing'),
    ...status.failures.map(({ object, code, message, attempts }) =>
      row('failure', `${object}: ${message} (${code}, tried ${attempts} times)`, 'bad'),
    ),
    ...status.warnings.map((text) => row('warning', text, 'bad')),
  ]
  return formatTable(rows, colour).trimEnd()
}

function row(name: string, text: string, tone: Tone = 'plain'): Cell[] {
  return [{ text: `${name}:` }, { text, tone }]
}
