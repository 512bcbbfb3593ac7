/** `carrick network create|set|ls|get|rm`. */

import { type Command, Option } from 'commander'
import type { Network } from '../api/rest/network-schemas.ts'
import { CARRIERS, OPENINGS } from '../model/network.ts'
import { forcedText } from '../model/overlap.ts'
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
  parsesBytes,
  waitQuery,
} from './command.ts'
import type { Io } from './io.ts'
import { showList } from './list.ts'
import { addNetworkSet } from './network-set.ts'
import { networkShape } from './shapes.ts'

export function addNetworkCommands(program: Command, io: Io): void {
  const network = explain(
    program.command('network'),
    'Manage networks: isolated address spaces that span all hosts.',
    ['carrick network create blue --subnet 10.80.0.0/16', 'carrick network ls'],
  )
  addCreate(network, io)
  addNetworkSet(network, io)

  onRun(
    explain(
      addListOptions(network.command('ls').alias('list')),
      'List networks.',
      ['carrick network ls', 'carrick network ls -o json --selector tier=web'],
      ['network get', 'endpoint ls'],
    ),
    io,
    (context) => showList(context, '/v1/networks', networkShape),
  )

  onRun(
    explain(
      addOutputOptions(network.command('get').argument('<network...>', 'name or id')),
      'Show networks, by name, id or the first characters of an id.',
      ['carrick network get blue', 'carrick network get blue red -o yaml'],
      ['network ls', 'endpoint ls'],
    ),
    io,
    async (context, args) => {
      const found: Network[] = []
      await forEachReference(context, args, async (reference) => {
        found.push(await context.client.get(path`/v1/networks/${reference}`))
      })
      const [only] = found
      if (found.length === 1 && only !== undefined) await context.one(only, networkShape)
      else await context.list(found, networkShape)
      await tellForced(context, found)
    },
  )

  onRun(
    explain(
      addWaitOptions(network.command('rm').alias('delete').argument('<network...>', 'name or id')),
      'Remove networks that no endpoint uses.',
      ['carrick network rm blue', 'carrick network rm blue red --wait'],
      ['endpoint ls', 'detach'],
    ),
    io,
    (context, args) =>
      forEachReference(context, args, async (reference) => {
        const { metadata } = await context.client.get<Network>(path`/v1/networks/${reference}`)
        await context.client.delete(path`/v1/networks/${metadata.id}`, waitQuery(context))
        await context.io.writeOut(`${metadata.name}\n`)
      }),
  )
}

/** How the network is to appear on engines, if at all. */
function dockerWish({ options }: Context): object | undefined {
  const name = options['dockerName']
  if (options['docker'] !== true && name === undefined) return undefined
  return name === undefined ? {} : { name }
}

/** Who wanted a network in spite of what it overlaps: a line for people, below the table. */
async function tellForced({ output, io }: Context, networks: readonly Network[]): Promise<void> {
  if (output.quiet || (output.format !== 'table' && output.format !== 'wide')) return
  for (const { metadata, status } of networks) {
    if (status.forced !== undefined) {
      await io.writeOut(`${metadata.name}: ${forcedText(status.forced)}\n`)
    }
  }
}

function addCreate(network: Command, io: Io): void {
  const create = network
    .command('create')
    .argument('<name>', 'lower case letters, digits and dashes')
    .option('--subnet <prefix>', 'IPv4 or IPv6 prefix, repeatable (default: a free /16)', collect)
    .option('--gateway <address>', 'gateway in a subnet (default: its first address)', collect)
    .addOption(
      new Option('--carrier <carrier>', 'how packets reach other hosts (default: auto)').choices(
        CARRIERS,
      ),
    )
    .option('--mtu <bytes>', 'MTU inside the containers (default: what fits)', parsesBytes)
    .option('--internal', 'no gateway: nothing goes out, nothing comes in')
    .option('--no-masquerade', "let the world outside see the containers' addresses")
    .option('--open <what>', `open what is closed to containers: ${OPENINGS.join(', ')}`, collect)
    .option('--docker', 'let it appear on the Docker engines of all hosts')
    .option('--docker-name <name>', 'its name there (default: the same)')
    .option('--label <key=value>', 'label, repeatable', collectLabel)
    .option('--force', 'in spite of routes and networks it overlaps; who did is written down')
  onRun(
    explain(
      addWaitOptions(addOutputOptions(create)),
      'Create a network.',
      [
        'carrick network create blue --subnet 10.80.0.0/16 --subnet fd80::/48',
        'carrick network create lab --subnet 10.81.0.0/24 --carrier local --label tier=test',
        'carrick network create green --docker',
        'carrick network create quiet --internal',
      ],
      ['attach', 'network ls', 'ipam suggest'],
    ),
    io,
    async (context, [name]) => {
      const { subnet, gateway, carrier, mtu, internal, masquerade, open, label } = context.options
      const body = {
        metadata: { name, labels: label },
        spec: {
          subnets: subnet,
          gateways: gateway,
          carrier,
          mtuBytes: mtu,
          internal,
          masquerade: masquerade === false ? false : undefined,
          open,
          docker: dockerWish(context),
        },
      }
      const force = context.options['force'] === true ? 'true' : undefined
      const query = { ...waitQuery(context), force }
      const created = await context.client.post<Network>('/v1/networks', body, query)
      await context.one(created, networkShape)
    },
  )
}
