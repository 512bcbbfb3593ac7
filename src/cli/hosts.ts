/** `carrick host ls|get|rm`. */

import type { Command } from 'commander'
import type { Host } from '../api/rest/schemas.ts'
import { path } from './client.ts'
import {
  addListOptions,
  addOutputOptions,
  addWaitOptions,
  type Context,
  confirm,
  explain,
  forEachReference,
  onRun,
  waitQuery,
} from './command.ts'
import type { Io } from './io.ts'
import { showList } from './list.ts'
import { hostShape, pathShape } from './shapes.ts'

export function addHostCommands(program: Command, io: Io): void {
  const host = explain(program.command('host'), 'Look at the hosts of the cluster.', [
    'carrick host ls',
    'carrick host get h1',
  ])
  onRun(
    explain(
      addListOptions(host.command('ls').alias('list')),
      'List hosts.',
      ['carrick host ls', 'carrick host ls --filter state=away -q'],
      ['host get', 'status'],
    ),
    io,
    (context) => showList(context, '/v1/hosts', hostShape),
  )
  onRun(
    explain(
      addOutputOptions(host.command('get').argument('<host...>', 'name or id')),
      'Show hosts, by name, id or the first characters of an id.',
      ['carrick host get h1', 'carrick host get h1 h2 -o json'],
      ['host ls'],
    ),
    io,
    async (context, args) => {
      const found: Host[] = []
      await forEachReference(context, args, async (reference) => {
        found.push(await context.client.get(path`/v1/hosts/${reference}`))
      })
      const [only] = found
      if (found.length !== 1 || only === undefined) {
        await context.list(found, hostShape)
        return
      }
      await context.one(only, hostShape)
      await showPaths(context, only)
    },
  )
  onRun(
    explain(
      addWaitOptions(host.command('rm').argument('<host...>', 'name or id')).option(
        '-y, --yes',
        'do not ask',
      ),
      'Declare hosts gone for good: their endpoints are forgotten and their addresses freed.',
      ['carrick host rm h3', 'carrick host rm h3 --yes --wait'],
      ['host ls', 'token create'],
    ),
    io,
    (context, args) =>
      forEachReference(context, args, async (reference) => {
        const { metadata, status } = await context.client.get<Host>(path`/v1/hosts/${reference}`)
        const question = `Host ${metadata.name} (${metadata.id}) and its ${status.endpoints} endpoints go for good. If it still runs, it is cut off. Remove it?`
        if (!(await confirm(context, question))) return
        await context.client.delete(path`/v1/hosts/${metadata.id}`, waitQuery(context))
        await context.io.writeOut(`${metadata.name}\n`)
      }),
  )
}

/** For people a second table; a document has them already. */
async function showPaths(context: Context, { status }: Host): Promise<void> {
  const { format, quiet } = context.output
  if (quiet || (format !== 'table' && format !== 'wide') || status.paths.length === 0) return
  await context.io.writeOut('\n')
  await context.list(status.paths, pathShape)
}
