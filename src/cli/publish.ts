/** `carrick publish ls|add|rm`. */

import type { Command } from 'commander'
import type { Publication } from '../api/rest/endpoint-schemas.ts'
import { isNetworkError, NetworkError } from '../lib/errors.ts'
import { hostPortsText } from '../model/publication.ts'
import { path } from './client.ts'
import {
  addListOptions,
  addOutputOptions,
  addWaitOptions,
  type Context,
  explain,
  forEachReference,
  onRun,
  waitQuery,
} from './command.ts'
import type { Io } from './io.ts'
import { showList } from './list.ts'
import { publicationShape } from './shapes.ts'

const PUBLICATIONS = '/v1/publications'

export function addPublishCommands(program: Command, io: Io): void {
  const publish = explain(
    program.command('publish'),
    'Manage published ports: ports of a host that lead to one of its containers.',
    ['carrick publish ls', 'carrick publish add web 8080:80'],
    ['attach', 'endpoint get'],
  )
  onRun(
    explain(
      addListOptions(publish.command('ls').alias('list'))
        .option('--network <network>', 'only those of this network')
        .option('--host <host>', 'only those of this host')
        .option('--endpoint <endpoint>', 'only those that lead to this endpoint'),
      'List the published ports of all hosts, and who can reach each.',
      ['carrick publish ls', 'carrick publish ls --host h1 --filter proto=udp -o wide'],
      ['publish add', 'publish rm'],
    ),
    io,
    (context) => {
      const { network, host, endpoint } = context.options as Readonly<
        Record<string, string | undefined>
      >
      return showList(context, PUBLICATIONS, publicationShape, { network, host, endpoint })
    },
  )
  onRun(
    explain(
      addOutputOptions(
        publish
          .command('add')
          .argument('<endpoint>', 'id or name')
          .argument('<port...>', '[ADDRESS:][HOSTPORT:]PORT[/PROTOCOL], or ranges of equal length'),
      ).option('--network <network>', 'network in which the name is looked up'),
      'Publish ports of an endpoint of this host.',
      [
        'carrick publish add web 8080:80 [::1]:8443:443',
        'carrick publish add web 0:53/udp        # any free port: the choice is shown',
      ],
      ['publish ls', 'publish rm', 'attach'],
    ),
    io,
    async (context, [endpoint = '', ...ports]) => {
      const { network } = context.options
      const published: Publication[] = []
      try {
        await forEachReference(context, ports, async (port) => {
          const body = { spec: { endpoint, network, port } }
          published.push(await context.client.post<Publication>(PUBLICATIONS, body))
        })
      } finally {
        const [only] = published
        if (only !== undefined && published.length === 1) await context.one(only, publicationShape)
        else if (only !== undefined) await context.list(published, publicationShape)
      }
    },
  )
  onRun(
    explain(
      addWaitOptions(
        publish
          .command('rm')
          .alias('delete')
          .argument('<port...>', 'id, PORT/PROTOCOL as shown, or an endpoint for all of its ports'),
      ).option('--network <network>', 'network in which names of endpoints are looked up'),
      'Take back published ports of this host.',
      ['carrick publish rm 8080/tcp', 'carrick publish rm web --wait'],
      ['publish ls', 'publish add'],
    ),
    io,
    (context, args) =>
      forEachReference(context, args, async (reference) => {
        for (const { metadata } of await referred(context, reference)) {
          await context.client.delete(path`/v1/publications/${metadata.id}`, waitQuery(context))
          await context.io.writeOut(`${metadata.id}\n`)
        }
      }),
  )
}

/** The published ports that a reference of `rm` means: at least one. */
async function referred(context: Context, reference: string): Promise<readonly Publication[]> {
  const { client } = context
  if (reference.includes('/')) return [await portHere(context, reference)]
  try {
    return [await client.get<Publication>(path`/v1/publications/${reference}`)]
  } catch (error) {
    if (!isNetworkError(error, 'not-found')) throw error
  }
  const network = context.options['network'] as string | undefined // text, or not given
  const found = await client.list<Publication>(PUBLICATIONS, { endpoint: reference, network })
  if (found.length > 0) return found
  throw new NetworkError('not-found', `Cannot find a published port of endpoint "${reference}"`, {
    hint: 'carrick publish ls',
  })
}

/** The one port of this host that is shown as `text`: `8080/tcp`, `127.0.0.1:5353/udp`, `9000-9002/tcp`. */
async function portHere({ client }: Context, text: string): Promise<Publication> {
  const local = (await client.list<Publication>(PUBLICATIONS)).filter(({ status }) => status.local)
  const found = local.filter(({ spec }) => {
    return [hostPortsText(spec), hostPortsText({ ...spec, hostAddress: undefined })].includes(text)
  })
  const [first, ...others] = found
  const hint = { hint: 'carrick publish ls' }
  if (first === undefined) {
    throw new NetworkError('not-found', `Cannot find ${text}: this host does not publish it`, hint)
  }
  if (others.length === 0) return first
  const texts = found.map(({ spec }) => hostPortsText(spec)).join(', ')
  throw new NetworkError('invalid', `Cannot tell which ${text} is meant: there are ${texts}`, hint)
}
