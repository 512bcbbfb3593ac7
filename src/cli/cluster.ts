/** `carrick token create`, `join`, `status`, `drops` and `version`. */

import type { Command } from 'commander'
import type { ListOf } from '../api/rest/schema-parts.ts'
import type { Drop, Joined, Status, Token } from '../api/rest/schemas.ts'
import { isNetworkError, NetworkError } from '../lib/errors.ts'
import { VERSION } from '../lib/version.ts'
import {
  addOutputOptions,
  addWaitOptions,
  type Context,
  explain,
  LONGEST_WAIT_MS,
  onRun,
  parsesDuration,
} from './command.ts'
import type { Io } from './io.ts'
import { printData } from './output.ts'
import { dropShape } from './shapes.ts'
import { statusText } from './status-text.ts'

export function addClusterCommands(program: Command, io: Io): void {
  addTokenCommands(program, io)

  const join = addOutputOptions(
    program
      .command('join')
      .argument('<host:port>', 'member that serves the store')
      .requiredOption('--token-file <file>', 'file with the token, - for standard input'),
  )
  onRun(
    explain(
      join,
      'Join the cluster of another host, with a token made there.',
      [
        'carrick join 192.0.2.1:7441 --token-file token.txt',
        'ssh h1 carrick token create | carrick join h1.example.org:7441 --token-file -',
      ],
      ['token create', 'host ls'],
    ),
    io,
    async (context, [address]) => {
      const token = await readToken(context, String(context.options['tokenFile']))
      const joined = await context.client.post<Joined>('/v1/join', { spec: { address, token } })
      const { hostName, store, hostId } = joined.status
      await print(context, joined, context.output.quiet ? hostId : `${hostName} joined ${store}`)
    },
  )

  const status = addWaitOptions(addOutputOptions(program.command('status')))
  onRun(
    explain(
      status,
      'Show how far this host is and what it could not do.',
      ['carrick status', 'carrick status --wait --timeout 2m -o json'],
      ['host ls', 'drops'],
    ),
    io,
    async (context) => {
      const found = await readStatus(context)
      const { quiet, colour } = context.output
      await print(context, found, quiet ? found.metadata.id : statusText(found, colour))
    },
  )

  const drops = addOutputOptions(program.command('drops'))
    .option('--all', 'also what is dropped without anybody being at fault')
    .option('--filter <key=value>', 'only rows whose column has the value', (value: string) => [
      value,
    ])
    .option('--sort-by <column>', 'order by this column')
  onRun(
    explain(
      drops,
      'Show the packets dropped on this host, by reason and endpoint.',
      ['carrick drops', 'carrick drops --all --sort-by packets'],
      ['status', 'endpoint ls'],
    ),
    io,
    async (context) => {
      const all = context.options['all'] === true ? 'true' : undefined
      const { items } = await context.client.get<ListOf<Drop>>('/v1/drops', { all })
      await context.list(items, dropShape)
    },
  )

  onRun(
    explain(
      addOutputOptions(program.command('version')),
      'Print the version of this program and of the running daemon.',
      ['carrick version', 'carrick version -o json'],
      ['status'],
    ),
    io,
    async (context) => {
      const daemon = await daemonVersion(context)
      const document = { client: VERSION, ...(daemon === undefined ? {} : { daemon }) }
      const text = `carrick ${VERSION}${daemon === undefined ? '' : `\ndaemon ${daemon}`}`
      await print(context, document, context.output.quiet ? VERSION : text)
    },
  )
}

function addTokenCommands(program: Command, io: Io): void {
  const token = explain(program.command('token'), 'Make tokens with which other hosts join.', [
    'carrick token create',
    'carrick token create --ttl 10m > token.txt',
  ])
  const create = addOutputOptions(token.command('create')).option(
    '--ttl <duration>',
    'how long it may be used (default: 1h)',
    parsesDuration,
  )
  onRun(
    explain(
      create,
      'Print a new token; whoever has it may join one host until it expires.',
      ['carrick token create', 'carrick token create --ttl 10m > token.txt'],
      ['join', 'host ls'],
    ),
    io,
    async (context) => {
      const ttlSeconds = Math.ceil(Number(context.options['ttl'] ?? 3_600_000) / 1000)
      const made = await context.client.post<Token>('/v1/tokens', { spec: { ttlSeconds } })
      await print(context, made, context.output.quiet ? made.metadata.id : made.status.text)
    },
  )
}

async function print(context: Context, document: unknown, text: string): Promise<void> {
  await context.io.writeOut((await printData(document, context.output)) ?? `${text}\n`)
}

async function readToken({ io }: Context, file: string): Promise<string> {
  let text: string
  try {
    text = (await io.readText(file)).trim()
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    throw new NetworkError('invalid', `Cannot read the token from "${file}": ${code}`, { cause })
  }
  if (text !== '') return text
  throw new NetworkError('invalid', `Cannot read the token from "${file}": it is empty`, {
    hint: 'carrick token create > token.txt   # on a host of the cluster',
  })
}

/** The status now, or once settled; a long wait is several requests. */
async function readStatus({ client, options, io }: Context): Promise<Status> {
  if (options['wait'] !== true) return await client.get('/v1/status')
  const deadline = io.now() + Number(options['timeout'])
  for (;;) {
    const timeoutMs = Math.max(1, Math.min(deadline - io.now(), LONGEST_WAIT_MS))
    try {
      return await client.get('/v1/status', { wait: 'settled', timeoutMs })
    } catch (error) {
      if (!isNetworkError(error, 'timeout') || io.now() >= deadline) throw error
    }
  }
}

/** Undefined when no daemon answers: the client's version is an answer too. */
async function daemonVersion({ client }: Context): Promise<string | undefined> {
  try {
    return (await client.get<Status>('/v1/status')).status.version
  } catch (error) {
    if (isNetworkError(error, 'unavailable') || isNetworkError(error, 'forbidden')) return undefined
    throw error
  }
}
