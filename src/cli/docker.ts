/** `carrick docker install|uninstall`: how this host's engine and Carrick are brought together. */

import type { Command } from 'commander'
import { addOutputOptions, explain, onRun } from './command.ts'
import type { Io } from './io.ts'

export function addDockerCommands(program: Command, io: Io): void {
  const docker = explain(
    program.command('docker'),
    'Wire Carrick into this host’s Docker engine, and see what is wired.',
    ['sudo carrick docker install', 'carrick docker install --dry-run'],
    ['network create', 'status'],
  )

  onRun(
    explain(
      addOutputOptions(docker.command('status')),
      'Show this host’s engine, the networks on it, what it forgot, and what is not wired.',
      ['carrick docker status', 'carrick docker status -o json'],
      ['docker install', 'status'],
    ),
    io,
    async (context) => (await import('./docker-status.ts')).showStatus(context),
  )
  onRun(
    explain(
      addWiringOptions(docker.command('install')).option(
        '--executable <path>',
        'the program that the units start (default: this one)',
      ),
      'Write the units that start Carrick before Docker, and let the engine ask Carrick for names.',
      ['sudo carrick docker install', 'carrick docker install --dry-run'],
      ['docker uninstall', 'status'],
    ),
    io,
    async (context) => (await import('./docker-install.ts')).install(context),
  )
  onRun(
    explain(
      addWiringOptions(docker.command('uninstall')),
      'Take back what `install` did, and nothing else: networks and containers stay.',
      ['sudo carrick docker uninstall', 'carrick docker uninstall --dry-run'],
      ['docker install'],
    ),
    io,
    async (context) => (await import('./docker-install.ts')).uninstall(context),
  )
  onRun(
    explain(
      docker
        .command('relay')
        .option('--listen <path>', 'socket for the engine', '/run/docker/plugins/carrick.sock')
        .option('--to <path>', 'socket of the daemon', '/run/carrick-host/carrick.sock'),
      'Hand an engine’s calls on to the daemon: this is what runs inside the plug-in for swarm.',
      [
        'carrick docker relay --to /run/docker/plugins/carrick.sock --listen /run/relay.sock',
        'carrick docker relay --to /run/carrick-docker.sock',
      ],
      ['docker status'],
    ),
    io,
    async (context) => (await import('./docker-relay.ts')).relay(context),
  )
}

function addWiringOptions(command: Command): Command {
  return command
    .option('--dry-run', 'tell what would be done, and do nothing')
    .option('--root <directory>', 'change files below this directory, and start nothing')
}
