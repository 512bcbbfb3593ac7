/** `carrick attach`, `carrick detach` and `carrick endpoint ls|get`. */

import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { Endpoint } from '../api/rest/endpoint-schemas.ts'
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
import { printList } from './output.ts'
import { parseRate } from './rates.ts'
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
    .argument('<network...>', 'names or ids, in the order of their interfaces')
    .option('--netns <path>', 'network namespace: a path, or a name as `ip netns` knows it')
    .option('--pid <pid>', 'process whose network namespace it is', parsesPositive)
    .option('--ip <address>', 'wanted address, once per network and family', collect)
    .option('--mac <address>', 'wanted MAC address, once per network in their order', collect)
    .option('--name <name>', 'name, unique in the network')
    .option('--label <key=value>', 'label, repeatable', collectLabel)
    .option(
      '--ifname <name>',
      'interface inside the namespace, once per network in their order (default: eth0, eth1, ...)',
      collect,
    )
    .option(
      '--default-route <network>',
      'network whose gateway is the default route (default: the first)',
      collect,
    )
    .option(
      '--ingress-rate <rate>',
      'how much it may receive, in bits per second, like 8M; once per network in their order',
      collect,
    )
    .option('--egress-rate <rate>', 'how much it may send, likewise', collect)
    .option(
      '--publish <port>',
      'port of this host that leads to it: [ADDRESS:][HOSTPORT:]PORT[/PROTOCOL], repeatable',
      collect,
    )
  onRun(
    explain(
      addOutputOptions(attach),
      'Attach a network namespace to networks: to all of them or to none.',
      [
        'carrick attach blue --netns /run/netns/web --name web --label app=web',
        'carrick attach blue --pid 4711 --ip 10.80.0.9',
        'carrick attach lan blue shop --netns web --default-route shop',
        'carrick attach shop --netns web --publish 8080:80 --publish 127.0.0.1:5353:53/udp',
        'carrick attach blue --netns guest --ingress-rate 8M --egress-rate 16M',
      ],
      ['detach', 'endpoint ls', 'publish ls', 'network create'],
    ),
    io,
    async (context, networks) => {
      const { netns, pid, name, label } = context.options
      if ((netns === undefined) === (pid === undefined)) {
        throw new NetworkError(
          'invalid',
          'Cannot attach: exactly one of --netns and --pid is needed',
          {
            hint: `carrick attach ${networks.join(' ')} --netns /run/netns/NAME`,
          },
        )
      }
      const metadata = { name, labels: label }
      const target = {
        netns: netns === undefined ? undefined : netnsPath(String(netns)),
        pid,
        publish: context.options['publish'],
      }
      const parts = partsOf(context, networks)
      const [only] = parts
      if (only !== undefined && parts.length === 1) {
        const { network, ...part } = only
        const spec = { ...target, ...part, addresses: context.options['ip'] }
        const url = path`/v1/networks/${network}/endpoints`
        await context.one(
          await context.client.post<Endpoint>(url, { metadata, spec }),
          endpointShape,
        )
        return
      }
      const spec = { ...target, networks: parts, addresses: context.options['ip'] }
      const { items } = await context.client.post<{ items: readonly Endpoint[] }>('/v1/endpoints', {
        metadata,
        spec,
      })
      // in the order of the interfaces, not sorted
      await context.io.writeOut(await printList(items, endpointShape, context.output))
    },
  )
}

/** What is said of each network; throws `invalid` when it cannot be told which is meant. */
function partsOf({ options }: Context, networks: readonly string[]) {
  const each = (flag: string, key: string): readonly string[] => {
    const given = (options[key] ?? []) as readonly string[] // made by `collect`
    if (given.length === 0 || given.length === networks.length) return given
    const times = networks.length === 1 ? 'once' : `once per network, ${networks.length} times`
    throw new NetworkError('invalid', `Cannot attach: --${flag} is given ${times} or not at all`)
  }
  const macs = each('mac', 'mac')
  const ifnames = each('ifname', 'ifname')
  const received = each('ingress-rate', 'ingressRate')
  const sent = each('egress-rate', 'egressRate')
  const defaults = (options['defaultRoute'] ?? []) as readonly string[] // as above
  if (defaults.length > 1) {
    throw new NetworkError('invalid', 'Cannot attach: there is one default route, name one network')
  }
  const [chosen] = defaults
  if (chosen !== undefined && !networks.includes(chosen)) {
    throw new NetworkError(
      'invalid',
      `Cannot attach: --default-route ${chosen} is none of the networks ${networks.join(', ')}`,
    )
  }
  return networks.map((network, i) => ({
    network,
    mac: macs[i],
    ifname: ifnames[i],
    defaultRoute: network === chosen ? true : undefined,
    bandwidth: bandwidthOf(received[i], sent[i]),
  }))
}

/** Undefined where nothing is limited. */
function bandwidthOf(received: string | undefined, sent: string | undefined) {
  if (received === undefined && sent === undefined) return undefined
  const limit = (rate: string | undefined, flag: string) =>
    rate === undefined ? undefined : { bitsPerSecond: parseRate(rate, flag) }
  return {
    toContainer: limit(received, '--ingress-rate'),
    fromContainer: limit(sent, '--egress-rate'),
  }
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
