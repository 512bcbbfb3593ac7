/** `carrick lab up|exec|ls|down`: virtual hosts on this machine. The lab itself is loaded when one is used. */

import { type Command, Option } from 'commander'
import type { LabSpec, Topology } from '../lab/spec.ts'
import {
  addOutputOptions,
  type Context,
  explain,
  onRun,
  parsesBytes,
  parsesPositive,
} from './command.ts'
import { ExitWith } from './exit.ts'
import type { Io } from './io.ts'
import type { Shape } from './output.ts'

const TOPOLOGIES: readonly Topology[] = ['bridge', 'pair', 'routed']

export function addLabCommands(program: Command, io: Io): void {
  const lab = explain(
    program.command('lab'),
    'Make virtual hosts on this machine, joined by a wire, to try things on.',
    ['carrick lab up --hosts 3', 'carrick lab exec h1 -- ip address'],
  )
  const name = (): Option => new Option('--lab <name>', 'which lab').default('lab')

  onRun(
    explain(
      lab
        .command('up')
        .addOption(name())
        .option('--hosts <number>', 'how many hosts', parsesPositive, 3)
        .addOption(
          new Option('--topology <kind>', 'how they are joined')
            .choices(TOPOLOGIES)
            .default('bridge'),
        )
        .option('--mtu <bytes>', 'MTU of the wire', parsesBytes, 1500),
      'Make a lab.',
      ['carrick lab up --hosts 3', 'carrick lab up --lab two --hosts 2 --topology routed'],
      ['lab exec', 'lab down'],
    ),
    io,
    async ({ options }) => {
      const { labUp } = await import('../lab/commands.ts')
      const { hosts } = await labUp({
        name: String(options['lab']),
        hosts: Number(options['hosts']),
        topology: options['topology'] as Topology, // by `choices`
        mtuBytes: Number(options['mtu']),
      })
      await io.writeOut(hosts.map((host) => `${host.name}\n`).join(''))
    },
  )

  onRun(
    explain(
      lab
        .command('exec')
        .argument('<host>', 'name of the host')
        .argument('<command...>', 'command and arguments, after --')
        .addOption(name()),
      'Run a command in a host of a lab; its exit code is the exit code.',
      ['carrick lab exec h1 -- ip address', 'carrick lab exec h2 -- carrick status'],
      ['lab up', 'lab ls'],
    ),
    io,
    async ({ options }, [host = '', ...argv]) => {
      const { labExec } = await import('../lab/commands.ts')
      throw new ExitWith(await labExec(String(options['lab']), host, argv))
    },
  )

  onRun(
    explain(
      addOutputOptions(lab.command('ls').alias('list')),
      'List the labs that are up.',
      ['carrick lab ls', 'carrick lab ls -q'],
      ['lab up', 'lab down'],
    ),
    io,
    async (context: Context) => {
      const { labList } = await import('../lab/commands.ts')
      await context.list(labList(), labShape)
    },
  )

  onRun(
    explain(
      lab.command('down').addOption(name()),
      'Take a lab down, with everything that runs in it.',
      ['carrick lab down', 'carrick lab down --lab two'],
      ['lab up'],
    ),
    io,
    async ({ options }) => {
      const { labDown } = await import('../lab/commands.ts')
      await labDown(String(options['lab']))
    },
  )
}

const labShape: Shape<Listed> = {
  kind: 'Lab',
  id: ({ name }) => name,
  name: ({ name }) => name,
  columns: [
    { key: 'name', values: ({ name }) => [name] },
    { key: 'topology', values: ({ spec }) => [spec?.topology ?? 'unfinished'] },
    { key: 'hosts', values: ({ spec }) => spec?.hosts.map((host) => host.name) ?? [] },
  ],
}

interface Listed {
  readonly name: string
  /** Absent when the lab was never finished. */
  readonly spec: LabSpec | undefined
}
