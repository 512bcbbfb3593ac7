/**
 * The command line: `runCli(argv)` parses, runs one command and answers its exit code. Only what the
 * command needs is loaded: a client command opens the socket and prints, and never loads the daemon's
 * packages. `--help` opens nothing.
 */

import { Command, CommanderError } from 'commander'
import { VERSION } from '../lib/version.ts'
import { addClusterCommands } from './cluster.ts'
import { addGlobalOptions, explain } from './command.ts'
import type { RunDaemon } from './daemon-command.ts'
import { addEndpointCommands } from './endpoints.ts'
import { describeError, EXIT_INTERRUPTED, EXIT_WRONG_USE, ExitWith, exitCodeOf } from './exit.ts'
import { addHostCommands } from './hosts.ts'
import { type Io, processIo } from './io.ts'
import { addLabCommands } from './lab.ts'
import { addNetworkCommands } from './networks.ts'

export interface CliDeps {
  readonly io: Io
  readonly runDaemon: RunDaemon
}

/** Runs `carrick ARGV...` and answers the exit code (conventions §4); throws nothing. */
export async function runCli(argv: readonly string[], deps: CliDeps): Promise<number> {
  const { io } = deps
  const help: string[] = []
  try {
    const program = await createProgram(deps, argv, (text) => help.push(text))
    await program.parseAsync([...argv], { from: 'user' })
    return 0
  } catch (error) {
    if (error instanceof ExitWith) return error.code
    try {
      return await tell(error, io, help.join(''), argv)
    } catch (second) {
      return exitCodeOf(second) // nobody reads any more
    }
  }
}

/** The program as users see it; `argv` decides only whether the daemon's settings are loaded. */
export async function createProgram(
  { io, runDaemon }: CliDeps,
  argv: readonly string[],
  writeHelp: (text: string) => void,
): Promise<Command> {
  const program = explain(
    new Command('carrick'),
    'A container network for every container on every Linux host.',
    [
      'carrick network create blue --subnet 10.80.0.0/16',
      'carrick attach blue --pid 4711 --name web',
    ],
  )
    .version(VERSION, '--version', 'print the version of this program')
    .helpOption('-h, --help', 'show help')
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .exitOverride()
    .configureOutput({ writeOut: writeHelp, writeErr: writeHelp, outputError: () => {} })
  addGlobalOptions(program)

  addNetworkCommands(program, io)
  addEndpointCommands(program, io)
  addHostCommands(program, io)
  addClusterCommands(program, io)
  addLabCommands(program, io)
  const daemon = program
    .command('daemon')
    .description('Run the agent of this host in the foreground.')
  if (argv.includes('daemon')) {
    const { completeDaemonCommand } = await import('./daemon-command.ts')
    completeDaemonCommand(daemon, io, runDaemon)
  }
  inherit(program)
  return program
}

/** Subcommands throw and write like the program; commander copies this only at their creation. */
function inherit(parent: Command): void {
  for (const command of parent.commands) {
    command.copyInheritedSettings(parent)
    inherit(command)
  }
}

/** Says what went wrong on standard error, or the help asked for on standard output. */
async function tell(
  error: unknown,
  io: Io,
  help: string,
  argv: readonly string[],
): Promise<number> {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) {
      await io.writeOut(help)
      return 0
    }
    io.writeErr(error.code === 'commander.help' ? help : usageError(error.message))
    return EXIT_WRONG_USE
  }
  if (io.signal.aborted) {
    io.writeErr('interrupted: what was asked of the daemon may still be done\n')
    return EXIT_INTERRUPTED
  }
  const code = exitCodeOf(error)
  const verbose = argv.includes('-v') || argv.includes('--verbose')
  if (!(error instanceof Error && error.message === '' && code > 128)) {
    io.writeErr(describeError(error, verbose))
  }
  return code
}

/** Commander's message in our form: `error: ...`, then `hint: ...`. */
function usageError(message: string): string {
  const [first = '', ...rest] = message.split('\n')
  const meant = /\(Did you mean (?:one of )?(.*?)\?\)/.exec(rest.join(' '))?.[1]
  const hint = meant === undefined ? 'carrick --help' : `perhaps ${meant}`
  return `${first.startsWith('error: ') ? first : `error: ${first}`}\nhint: ${hint}\n`
}

/** The command line of this process. */
export function runCliHere(argv: readonly string[], runDaemon: RunDaemon): Promise<number> {
  return runCli(argv, { io: processIo(), runDaemon })
}
