/** `carrick docker status`: this host's engine as a page for people. */

import type { Docker } from '../api/rest/docker-schemas.ts'
import type { Context } from './command.ts'
import { printData } from './output.ts'
import { type Cell, formatTable, type Tone } from './table.ts'

type Network = Docker['status']['networks'][number]

export async function showStatus(context: Context): Promise<void> {
  const found = await context.client.get<Docker>('/v1/docker')
  const { quiet, colour } = context.output
  const text = quiet ? found.status.engine.state : dockerText(found, colour)
  await context.io.writeOut((await printData(found, context.output)) ?? `${text}\n`)
}

/** Without the final line end. */
export function dockerText({ status }: Docker, colour: boolean): string {
  const { engine, plugin, networks, endpoints, orphans, hints } = status
  const page = formatTable(
    [
      row('engine', engineText(engine), engine.state === 'connected' ? 'good' : 'bad'),
      row(
        'driver',
        plugin.socket === undefined ? plugin.driver : `${plugin.driver} at ${plugin.socket}`,
      ),
      row('endpoints', `${endpoints.plugged} plugged, ${endpoints.held} addresses held`),
      ...orphans.map(({ kind, id, due }) =>
        row('orphan', `${kind} ${id.slice(0, 64)}, removed at ${due}`, 'bad'),
      ),
      ...networks.map((network) =>
        row('network', networkText(network), network.state === 'here' ? 'plain' : 'bad'),
      ),
      ...hints.map((hint) => row('hint', hint, 'bad')),
    ],
    colour,
  )
  return page.trimEnd()
}

function engineText(engine: Docker['status']['engine']): string {
  switch (engine.state) {
    case 'off':
      return 'not followed'
    case 'away':
      return `no answer: ${engine.reason ?? engine.socket}`
    case 'connected':
      return `Docker ${engine.version ?? ''}, API ${engine.apiVersion ?? ''}, at ${engine.socket}`
  }
}

function networkText({ name, network, state, detail, engineId }: Network): string {
  const ours = network === undefined || network === name ? '' : ` (${network})`
  const id = engineId === undefined ? '' : ` ${engineId.slice(0, 12)}`
  return `${name}${ours}: ${state}${id}${detail === undefined ? '' : `; ${detail}`}`
}

function row(name: string, text: string, tone: Tone = 'plain'): Cell[] {
  return [{ text: `${name}:` }, { text, tone }]
}
