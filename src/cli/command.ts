/** What the commands have in common: their help, their options, and what an action is given. */

import { type Command, InvalidArgumentError, Option } from 'commander'
import { NetworkError } from '../lib/errors.ts'
import { formatDuration, parseBytes, parseDuration } from '../lib/units.ts'
import { type Client, createClient, DEFAULT_SOCKET, type Query } from './client.ts'
import type { Io } from './io.ts'
import { arrange, FORMATS, type OutputOptions, printList, printOne, type Shape } from './output.ts'
import { type ColourMode, usesColour } from './table.ts'

/** Options as commander collects them: by name, checked by their parsers. */
export type Options = Readonly<Record<string, unknown>>

/** An action's surroundings. */
export interface Context {
  readonly io: Io
  readonly client: Client
  readonly options: Options
  readonly output: OutputOptions
  /** Prints objects as the options say. */
  list<T>(items: readonly T[], shape: Shape<T>): Promise<void>
  one<T>(item: T, shape: Shape<T>): Promise<void>
}

export type Action = (context: Context, args: readonly string[]) => Promise<void>

/** Adds the action; the context is made from the options when it runs. */
export function onRun(command: Command, io: Io, action: Action): Command {
  return command.action(async () => {
    await action(createContext(io, command.optsWithGlobals()), command.args)
  })
}

/** One sentence, at least two examples, and commands that belong near. */
export function explain(
  command: Command,
  sentence: string,
  examples: readonly string[],
  related: readonly string[] = [],
): Command {
  const more = related.map((name) => `  carrick ${name}`).join('\n')
  return command
    .description(sentence)
    .addHelpText('after', `\nExamples:\n${examples.map((example) => `  ${example}`).join('\n')}`)
    .addHelpText('after', more === '' ? '' : `\nRelated:\n${more}`)
}

export function addGlobalOptions(program: Command): Command {
  return program
    .addOption(
      new Option('--socket <path>', 'unix socket of the daemon')
        .env('CARRICK_SOCKET')
        .default(DEFAULT_SOCKET),
    )
    .addOption(
      new Option('--color <when>', 'colour on standard output')
        .choices(['auto', 'always', 'never'])
        .default('auto'),
    )
    .option('-v, --verbose', 'say more: request ids and causes of errors')
}

export function addOutputOptions(command: Command): Command {
  return command
    .addOption(
      new Option('-o, --output <format>', 'how to print').choices(FORMATS).default('table'),
    )
    .option('-q, --quiet', 'print ids only')
    .option('--no-headers', 'print no headings')
}

export function addListOptions(command: Command): Command {
  return addOutputOptions(command)
    .option('-l, --selector <labels>', 'only objects with these labels: k=v, k!=v, k, !k')
    .option('--filter <key=value>', 'only objects whose column has the value', collect, [])
    .option('--sort-by <column>', 'order by this column')
    .option('-w, --watch', 'go on and print changes, one JSON object per line with -o json')
}

export function addWaitOptions(command: Command): Command {
  return command.option('--wait', "until this host's kernel has it").addOption(timeoutOption())
}

export function timeoutOption(): Option {
  return new Option('--timeout <duration>', 'how long to wait')
    .argParser(parsesDuration)
    .default(60_000, '60s')
}

/** `?wait=settled&timeoutMs=` when asked for. */
export function waitQuery({ options }: Context): Query {
  if (options['wait'] !== true) return {}
  return { wait: 'settled', timeoutMs: Math.min(Number(options['timeout']), LONGEST_WAIT_MS) }
}

/** Longest wait of one request. */
export const LONGEST_WAIT_MS = 240_000

/** Parser of a repeatable option. */
export function collect(value: string, previous: readonly string[] = []): string[] {
  return [...previous, value]
}

/** Parser of repeated `key=value`. */
export function collectLabel(
  text: string,
  previous: Readonly<Record<string, string>> | undefined,
): Record<string, string> {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('A label is written key=value.')
  return { ...previous, [text.slice(0, at)]: text.slice(at + 1) }
}

/** Parser of a duration, in milliseconds; a bare number means seconds. */
export function parsesDuration(text: string): number {
  const durationMs = parseDuration(text, 's')
  if (durationMs === undefined || durationMs === 0) {
    throw new InvalidArgumentError(`A duration is written like ${formatDuration(90_000)}.`)
  }
  return durationMs
}

/** Parser of a size in bytes. */
export function parsesBytes(text: string): number {
  const bytes = parseBytes(text)
  if (bytes === undefined) throw new InvalidArgumentError('A size is written like 1500 or 64Ki.')
  return bytes
}

export function parsesPositive(text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < 1) throw new InvalidArgumentError('A number from 1 is needed.')
  return value
}

/** Does the work for each reference, tells every failure, and throws the first at the end. */
export async function forEachReference(
  context: Context,
  references: readonly string[],
  work: (reference: string) => Promise<void>,
): Promise<void> {
  const errors: unknown[] = []
  for (const reference of references) {
    try {
      await work(reference)
    } catch (error) {
      if (!(error instanceof NetworkError)) throw error
      errors.push(error)
    }
  }
  const [first, ...others] = errors
  for (const error of others) context.io.writeErr(`error: ${(error as NetworkError).message}\n`)
  if (first !== undefined) throw first
}

/** Asks before something is lost; throws `invalid` without a terminal and without --yes. */
export async function confirm({ io, options }: Context, question: string): Promise<boolean> {
  if (options['yes'] === true) return true
  if (!io.stdinIsTerminal || !io.stderrIsTerminal) {
    throw new NetworkError('invalid', 'Cannot ask without a terminal: this needs --yes')
  }
  return /^y(es)?$/i.test(await io.ask(`${question} [y/N] `))
}

function createContext(io: Io, options: Options): Context {
  const output: OutputOptions = {
    format: (options['output'] ?? 'table') as OutputOptions['format'], // one of FORMATS, by `choices`
    quiet: options['quiet'] === true,
    headers: options['headers'] !== false,
    filters: (options['filter'] ?? []) as string[], // made by `collect`
    sortBy: options['sortBy'] as string | undefined, // text, or not given
    colour: usesColour(options['color'] as ColourMode, io.stdoutIsTerminal, io.env), // by `choices`
    nowMs: io.now(),
  }
  return {
    io,
    client: createClient(String(options['socket']), io.signal),
    options,
    output,
    async list(items, shape) {
      await io.writeOut(await printList(arrange(items, shape, output), shape, output))
    },
    async one(item, shape) {
      await io.writeOut(await printOne(item, shape, output))
    },
  }
}
