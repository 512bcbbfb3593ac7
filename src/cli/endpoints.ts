/** `carrick attach`, `carrick detach` and `carrick endpoint ls|get`. */

import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { Endpoint } from '../api/rest/schemas.ts'
import { NetworkError } from '../lib/errors.ts'
import { path } from './client.ts'
import {
  addListOptions,
  addOutputOptions,
  addWaitOptions,
  type Context,
  collect,
  collectLabel,
  explain,
  forEachReference,
  onRun,
  parsesPositive,
  waitQuery,
} from './command.ts'
import type { Io } from './io.ts'
import { showList } from './list.ts'
import { endpointShape } from './shapes.ts'

export function addEndpointCommands(program: Command, io: Io): void {
  addAttach(program, io)

  onRun(
    explain(
      addWaitOptions(program.command('detach').argument('<endpoint...>', 'id or name')).option(
        '--network <network>',
        'network in which names are looked up',
      ),
      'Detach endpoints of this host, by id, first characters of an id or name.',
      ['carrick detach web', 'carrick detach db cache --network blue'],
      ['attach', 'endpoint ls'],
    ),
    io,
    (context, args) =>
      forEachReference(context, args, async (reference) => {
        const { metadata, status } = await context.client.get<Endpoint>(url(context, reference))
        await context.client.delete(
          path`/v1/networks/${status.networkId}/endpoints/${metadata.id}`,
          waitQuery(context),
        )
        await context.io.writeOut(`${metadata.id}\n`)
      }),
  )

  const endpoint = explain(
    program.command('endpoint'),
    'Look at endpoints: the attachments of containers to networks.',
    ['carrick endpoint ls', 'carrick endpoint get web'],
  )
  onRun(
    explain(
      addListOptions(endpoint.command('ls').alias('list'))
        .option('--network <network>', 'only those of this network')
        .option('--host <host>', 'only those of this host'),
      'List the endpoints of all hosts.',
      ['carrick endpoint ls --network blue', 'carrick endpoint ls --host h1 -o wide --sort-by age'],
      ['endpoint get', 'attach'],
    ),
    io,
    (context) => {
      const { network, host } = context.options as Readonly<Record<string, string | undefined>>
      return showList(context, '/v1/endpoints', endpointShape, { network, host })
    },
  )
  onRun(
    explain(
      addOutputOptions(endpoint.command('get').argument('<endpoint...>', 'id or name')).option(
        '--network <network>',
        'network in which names are looked up',
      ),
      'Show endpoints, by id, first characters of an id or name.',
      ['carrick endpoint get web', 'carrick endpoint get web --network blue -o json'],
      ['endpoint ls'],
    ),
    io,
    async (context, args) => {
      const found: Endpoint[] = []
      await forEachReference(context, args, async (reference) => {
        found.push(await context.client.get(url(context, reference)))
      })
      const [only] = found
      if (found.length === 1 && only !== undefined) await context.one(only, endpointShape)
      else await context.list(found, endpointShape)
    },
  )
}

function addAttach(program: Command, io: Io): void {
  const attach = program
    .command('attach')
    .argument('<network>', 'name or id')
    .option('--netns <path>', 'network namespace: a path, or a name as `ip netns` knows it')
    .option('--pid <pid>', 'process whose network namespace it is', parsesPositive)
    .option('--ip <address>', 'wanted address, once per family', collect)
    .option('--mac <address>', 'wanted MAC address')
    .option('--name <name>', 'name, unique in the network')
    .option('--label <key=value>', 'label, repeatable', collectLabel)
    .option('--ifname <name>', 'interface inside the namespace (default: eth0)')
  onRun(
    explain(
      addOutputOptions(attach),
      'Attach a network namespace to a network.',
      [
        'carrick attach blue --netns /run/netns/web --name web --label app=web',
        'carrick attach blue --pid 4711 --ip 10.80.0.9',
      ],
      ['detach', 'endpoint ls', 'network create'],
    ),
    io,
    async (context, [network = '']) => {
      const { netns, pid, ip, mac, name, label, ifname } = context.options
      if ((netns === undefined) === (pid === undefined)) {
        throw new NetworkError(
          'invalid',
          'Cannot attach: exactly one of --netns and --pid is needed',
          {
            hint: `carrick attach ${network} --netns /run/netns/NAME`,
          },
        )
      }
      const body = {
        metadata: { name, labels: label },
        spec: {
          netns: netns === undefined ? undefined : netnsPath(String(netns)),
          pid,
          addresses: ip,
          mac,
          ifname,
        },
      }
      const attached = await context.client.post<Endpoint>(
        path`/v1/networks/${network}/endpoints`,
        body,
      )
      await context.one(attached, endpointShape)
    },
  )
}

/** The daemon has another working directory; a bare name is one of ip-netns(8). */
function netnsPath(text: string): string {
  return text.includes('/') ? resolve(text) : `/run/netns/${text}`
}

function url({ options }: Context, reference: string): string {
  const network = options['network']
  if (network === undefined) return path`/v1/endpoints/${reference}`
  return path`/v1/networks/${String(network)}/endpoints/${reference}`
}
