/** `carrick network set`: changes a network in use, and says in one line what is different. */

import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Network } from '../api/rest/network-schemas.ts'
import { isNetworkError, NetworkError } from '../lib/errors.ts'
import { CARRIERS, OPENINGS } from '../model/network.ts'
import { type Client, path, type Query } from './client.ts'
import {
  addOutputOptions,
  addWaitOptions,
  collect,
  explain,
  type Options,
  onRun,
  parsesBytes,
  waitQuery,
} from './command.ts'
import type { Io } from './io.ts'
import { networkShape } from './shapes.ts'

/** Somebody else may change the network between the reading and the writing; so often it is read again. */
const ATTEMPTS = 5

export function addNetworkSet(network: Command, io: Io): void {
  const set = network
    .command('set')
    .argument('<network>', 'name or id')
    .option('--add-subnet <prefix>', 'one more subnet, repeatable', collect)
    .option('--gateway <address>', 'gateway in an added subnet, repeatable', collect)
    .option('--rm-subnet <prefix>', 'take away a subnet without endpoints, repeatable', collect)
    .addOption(new Option('--carrier <carrier>', 'how packets reach other hosts').choices(CARRIERS))
    .option('--mtu <bytes>', 'MTU inside the containers; auto: what fits', parsesMtu)
    .option('--internal', 'no gateway: nothing goes out, nothing comes in')
    .option('--no-internal', 'let it have a gateway again')
    .option('--masquerade', "hide the containers' addresses from the world outside")
    .option('--no-masquerade', "let the world outside see the containers' addresses")
    .option('--open <what>', `what is open to containers: ${OPENINGS.join(', ')}, or none`, collect)
    .option('--label <key=value>', 'label, repeatable; KEY- removes it', collect)
    .option('--force', 'add subnets in spite of what they overlap')
  onRun(
    explain(
      addWaitOptions(addOutputOptions(set)),
      'Change a network while containers use it.',
      [
        'carrick network set shop --carrier vxlan',
        'carrick network set shop --add-subnet 10.82.0.0/16 --mtu 1400 --label tier-',
      ],
      ['network get', 'network create'],
    ),
    io,
    async (context, [reference = '']) => {
      const { options, client } = context
      const query = { ...waitQuery(context), force: options['force'] === true ? 'true' : undefined }
      const { before, after } = await change(client, reference, options, query)
      if (context.output.format === 'table' && !context.output.quiet) {
        await io.writeOut(`${after.metadata.name}: ${whatChanged(before, after)}\n`)
      } else {
        await context.one(after, networkShape)
      }
      for (const note of after.status.notes ?? []) io.writeErr(`warning: ${note}\n`)
    },
  )
}

interface Change {
  readonly before: Network
  readonly after: Network
}

async function change(
  client: Client,
  reference: string,
  options: Options,
  query: Query,
): Promise<Change> {
  for (let attempt = 1; ; attempt++) {
    const { document: before, etag } = await client.tagged<Network>(path`/v1/networks/${reference}`)
    const url = path`/v1/networks/${before.metadata.id}`
    const body = patchOf(before, options)
    try {
      return { before, after: await client.patch<Network>(url, body, query, etag) }
    } catch (error) {
      if (!isNetworkError(error, 'conflict') || attempt === ATTEMPTS) throw error
      // Refused for good, unless somebody was quicker.
      const now = await client.tagged<Network>(url)
      if (now.etag === etag) throw error
    }
  }
}

/** The options as a merge patch of the network. */
function patchOf({ metadata, spec }: Network, options: Options): object {
  const added = (options['addSubnet'] ?? []) as readonly string[] // these are made by `collect`
  const removed = (options['rmSubnet'] ?? []) as readonly string[]
  const open = options['open'] as readonly string[] | undefined
  const labels = options['label'] as readonly string[] | undefined
  const unknown = removed.find((subnet) => !spec.subnets.includes(subnet))
  if (unknown !== undefined) {
    throw new NetworkError(
      'invalid',
      `Cannot change network ${metadata.name}: it has no subnet ${unknown}`,
      { hint: `carrick network get ${metadata.name}` },
    )
  }
  const subnets = spec.subnets.filter((subnet) => !removed.includes(subnet)).concat(added)
  const { carrier, mtu, internal, masquerade, gateway } = options
  const patch = {
    metadata: { labels: labels === undefined ? undefined : labelsOf(labels) },
    spec: {
      subnets: added.length + removed.length === 0 ? undefined : subnets,
      gateways: gateway,
      carrier,
      mtuBytes: mtu === 'auto' ? null : mtu,
      internal,
      masquerade,
      open: open?.filter((each) => each !== 'none'),
    },
  }
  const wishes = [...Object.values(patch.spec), patch.metadata.labels]
  if (wishes.every((wish) => wish === undefined)) {
    throw new NetworkError(
      'invalid',
      `Cannot change network ${metadata.name}: say what is to be different`,
      { hint: 'carrick network set --help' },
    )
  }
  return patch
}

function labelsOf(texts: readonly string[]): Record<string, string | null> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf('=')
      if (at > 0) return [text.slice(0, at), text.slice(at + 1)]
      if (at < 0 && text.length > 1 && text.endsWith('-')) return [text.slice(0, -1), null]
      throw new NetworkError('invalid', `Cannot read the label "${text}": write KEY=VALUE or KEY-`)
    }),
  )
}

/** One line, from both documents: what others changed meanwhile is no news of ours, but true. */
export function whatChanged(before: Network, after: Network): string {
  const parts: string[] = []
  const compare = (what: string, old: unknown, now: unknown): void => {
    if (old !== now) parts.push(`${what} ${old} -> ${now}`)
  }
  const sets = (what: string, old: readonly string[], now: readonly string[]): void => {
    const changes = [
      ...now.filter((each) => !old.includes(each)).map((each) => `+${each}`),
      ...old.filter((each) => !now.includes(each)).map((each) => `-${each}`),
    ]
    if (changes.length > 0) parts.push(`${what} ${changes.join(' ')}`)
  }
  const labels = ({ metadata }: Network): readonly string[] =>
    Object.entries(metadata.labels).map(([key, value]) => `${key}=${value}`)
  sets('subnets', before.spec.subnets, after.spec.subnets)
  compare('carrier', before.spec.carrier, after.spec.carrier)
  compare('mtu', before.spec.mtuBytes ?? 'auto', after.spec.mtuBytes ?? 'auto')
  compare('internal', before.spec.internal, after.spec.internal)
  compare('masquerade', before.spec.masquerade, after.spec.masquerade)
  sets('open', before.spec.open, after.spec.open)
  sets('labels', labels(before), labels(after))
  return parts.length === 0 ? 'unchanged' : parts.join('; ')
}

function parsesMtu(text: string): number | 'auto' {
  if (text === 'auto') return text
  try {
    return parsesBytes(text)
  } catch {
    throw new InvalidArgumentError('An MTU is written like 1400, or auto.')
  }
}
