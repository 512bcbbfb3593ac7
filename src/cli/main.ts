/**
 * The command line: `runCli(argv)` parses, runs one command and answers its exit code. Only what the
 * command needs is loaded: a client command opens the socket and prints, and never loads the daemon's
 * packages. `--help` opens nothing.
 */

import { Command, CommanderError } from 'commander'
import { VERSION } from '../lib/version.ts'
import { addClusterCommands } from './cluster.ts'
import { addCniCommands } from './cni.ts'
import { addGlobalOptions, explain } from './command.ts'
import type { RunDaemon } from './daemon-command.ts'
import { addDockerCommands } from './docker.ts'
import { addEndpointCommands } from './endpoints.ts'
import { describeError, EXIT_WRONG_USE, ExitWith, exitCodeOf } from './exit.ts'
import { addHostCommands } from './hosts.ts'
import { Interrupted, type Io, processIo, ReaderGone } from './io.ts'
import { addIpamCommands } from './ipam.ts'
import { addLabCommands } from './lab.ts'
import { addNetworkCommands } from './networks.ts'
import { addPublishCommands } from './publish.ts'
import { addReserveCommands } from './reserve.ts'

export interface CliDeps {
  readonly io: Io
  readonly runDaemon: RunDaemon
}

/** Runs `carrick ARGV...` and answers the exit code (conventions §4); throws nothing. */
export async function runCli(argv: readonly string[], deps: CliDeps): Promise<number> {
  const help: string[] = []
  const program = await createProgram(deps, argv, (text) => help.push(text))
  try {
    await program.parseAsync([...argv], { from: 'user' })
    return 0
  } catch (error) {
    try {
      if (error instanceof CommanderError) {
        return await tellUsage(error, deps.io, help.join(''), nameIn(program, argv))
      }
      return tellError(error, deps.io, argv)
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
  addPublishCommands(program, io)
  addReserveCommands(program, io)
  addIpamCommands(program, io)
  addDockerCommands(program, io)
  addCniCommands(program, io)
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

/** The help asked for goes to standard output; what commander refuses becomes an error of our form. */
async function tellUsage(
  { exitCode, code, message }: CommanderError,
  io: Io,
  help: string,
  command: string,
): Promise<number> {
  if (exitCode === 0) {
    await io.writeOut(help)
    return 0
  }
  if (code === 'commander.help') {
    io.writeErr(help)
    return EXIT_WRONG_USE
  }
  const [first = '', ...rest] = message.split('\n')
  const meant = /\(Did you mean (?:one of )?(.*?)\?\)/.exec(rest.join(' '))?.[1]
  const hint = meant === undefined ? `${command} --help` : `perhaps ${meant}`
  io.writeErr(`${first.startsWith('error: ') ? first : `error: ${first}`}\nhint: ${hint}\n`)
  return EXIT_WRONG_USE
}

function tellError(error: unknown, io: Io, argv: readonly string[]): number {
  if (error instanceof ExitWith) return error.code
  if (error instanceof Interrupted) {
    if (error.changing) io.writeErr('interrupted: the daemon may still do what it was asked\n')
  } else if (!(error instanceof ReaderGone)) {
    io.writeErr(describeError(error, argv.includes('-v') || argv.includes('--verbose')))
  }
  return exitCodeOf(error)
}

/** The command that the words name, as far as they do: `carrick network create`. */
function nameIn(program: Command, argv: readonly string[]): string {
  let command = program
  let name = program.name()
  for (const word of argv) {
    const next = command.commands.find((inner) => [inner.name(), ...inner.aliases()].includes(word))
    if (next === undefined) continue
    command = next
    name += ` ${next.name()}`
  }
  return name
}

/** The command line of this process. */
export function runCliHere(argv: readonly string[], runDaemon: RunDaemon): Promise<number> {
  return runCli(argv, { io: processIo(), runDaemon })
}
