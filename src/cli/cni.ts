/** `carrick cni install|uninstall|status`: how runtimes that speak CNI, and Podman’s netavark, find Carrick. */

import type { Command } from 'commander'
import { addOutputOptions, collect, explain, onRun } from './command.ts'
import type { Io } from './io.ts'

export function addCniCommands(program: Command, io: Io): void {
  const cni = explain(
    program.command('cni'),
    'Let Podman, containerd, CRI-O, Nomad and Kubernetes attach their containers, and see what they find.',
    ['sudo carrick cni install', 'carrick cni status'],
    ['network create', 'endpoint ls'],
  )

  onRun(
    explain(
      addPlaceOptions(addOutputOptions(cni.command('status'))),
      'Show the lists and programs that runtimes find on this host, and what stands in the way.',
      ['carrick cni status', 'carrick cni status -o json'],
      ['cni install', 'endpoint ls'],
    ),
    io,
    async (context) => (await import('./cni-status.ts')).showStatus(context),
  )
  onRun(
    explain(
      addChangeOptions(addPlaceOptions(cni.command('install')))
        .option('--network <network>', 'name or id (default: the only one there is)')
        .option('--copy', 'copy the program instead of linking to it')
        .option('--disable-gc', 'where several runtimes share the list: none may collect garbage')
        .option('--executable <path>', 'the program that runtimes start (default: this one)'),
      'Put the plug-in and a list for a network where runtimes look, the list last.',
      ['sudo carrick cni install', 'sudo carrick cni install --network blue --bin /usr/lib/cni'],
      ['cni status', 'cni uninstall'],
    ),
    io,
    async (context) => (await import('./cni-install.ts')).install(context),
  )
  onRun(
    explain(
      addChangeOptions(addPlaceOptions(cni.command('uninstall')))
        .option('--network <network>', 'only the list of this network (default: all of ours)')
        .option('--force', 'also while containers are attached'),
      'Take back what `install` did, the list first; refused while containers are attached by it.',
      ['sudo carrick cni uninstall', 'sudo carrick cni uninstall --network blue'],
      ['cni status', 'cni install'],
    ),
    io,
    async (context) => (await import('./cni-install.ts')).uninstall(context),
  )
}

function addPlaceOptions(command: Command): Command {
  return command
    .option('--dir <directory>', 'where runtimes look for lists (default: /etc/cni/net.d)')
    .option(
      '--bin <directory>',
      'where they look for plug-ins; several times for several (default: /opt/cni/bin, and the distribution’s own)',
      collect,
    )
    .option(
      '--netavark <directory>',
      'where netavark looks for plug-ins (default: /usr/libexec/netavark, if netavark is there)',
    )
    .option('--no-netavark', 'put no plug-in there')
    .option('--root <directory>', 'files are those below this directory')
}

function addChangeOptions(command: Command): Command {
  return command.option('--dry-run', 'tell what would be done, and do nothing')
}
