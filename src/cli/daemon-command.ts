/** `carrick daemon`: collects the settings and hands them to the daemon. Loaded only for this command. */

import { readdirSync, readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { NetworkError } from '../lib/errors.ts'
import { addOutputOptions, type Context, explain, onRun } from './command.ts'
import { ExitWith } from './exit.ts'
import type { Io } from './io.ts'
import { printData } from './output.ts'
import { aboutSetting, defaultSettings, SETTING_NAMES, type Settings } from './settings.ts'
import { flagOf, type ResolvedSettings, resolveSettings } from './settings-sources.ts'
import { formatTable } from './table.ts'

export interface DaemonOptions {
  /** Gives up what this host was: for a machine that was cloned, or whose state is not to be trusted. */
  readonly newIdentity: boolean
  /** The settings as they are now, from the same sources. Throws what the first reading would have thrown. */
  readAgain(): Settings
}

export type RunDaemon = (settings: Settings, options: DaemonOptions) => Promise<number>

/** Fills the command whose name and sentence the program already shows. */
export function completeDaemonCommand(command: Command, io: Io, runDaemon: RunDaemon): void {
  const defaults = defaultSettings('', '')
  for (const name of SETTING_NAMES) {
    if (name === 'socket') continue // the program's own --socket
    const { description, live } = aboutSetting(name)
    const text = name === 'hostName' ? undefined : defaults[name] // that one is the machine's own
    const byDefault = text === undefined || text === '' ? '' : ` (default: ${text})`
    command.option(`${flagOf(name)} <value>`, `${description}${byDefault}${live ? ' [live]' : ''}`)
  }
  addOutputOptions(command)
    .option('--root <directory>', 'put all default paths below this directory')
    .option('--check-config', 'print every setting with its source, and end')
    .option(
      '--new-identity',
      'put the old state aside and begin as a new host: on a cloned machine',
    )
  explain(
    command,
    command.description(),
    ['carrick daemon', 'carrick daemon --store etcd://a:2379,b:2379 --check-config'],
    ['status', 'token create', 'join'],
  )
  onRun(command, io, async (context) => {
    const read = () => resolve(context, command.parent?.getOptionValueSource('socket') === 'cli')
    const resolved = read()
    if (context.options['checkConfig'] === true) await printSettings(context, resolved)
    else {
      const newIdentity = context.options['newIdentity'] === true
      const readAgain = () => read().settings
      throw new ExitWith(await runDaemon(resolved.settings, { newIdentity, readAgain }))
    }
  })
}

function resolve({ options, io }: Context, socketGiven: boolean): ResolvedSettings {
  const root = String(options['root'] ?? '').replace(/\/+$/, '')
  const flags: Record<string, string> = {}
  for (const name of SETTING_NAMES) {
    const value = options[name]
    if (typeof value === 'string' && (name !== 'socket' || socketGiven)) flags[name] = value
  }
  const directory = io.env['CONFIGURATION_DIRECTORY']?.split(':')[0] ?? `${root}/etc/carrick`
  return resolveSettings({
    flags,
    env: io.env,
    files: readConfiguration(directory),
    root,
    osHostName: hostname(),
  })
}

/** carrick.yaml, then conf.d/*.yaml in name order; none of them needs to be there. */
function readConfiguration(directory: string): { path: string; text: string }[] {
  const names = orNothing(() => readdirSync(join(directory, 'conf.d')), directory) ?? []
  const paths = names
    .filter((name) => name.endsWith('.yaml'))
    .sort()
    .map((name) => join(directory, 'conf.d', name))
  return [join(directory, 'carrick.yaml'), ...paths].flatMap((path) => {
    const text = orNothing(() => readFileSync(path, 'utf8'), path)
    return text === undefined ? [] : [{ path, text }]
  })
}

function orNothing<T>(read: () => T, path: string): T | undefined {
  try {
    return read()
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    const kind = code === 'EACCES' ? 'forbidden' : 'invalid'
    throw new NetworkError(kind, `Cannot read the settings in ${path}: ${code}`, { cause })
  }
}

async function printSettings({ io, output }: Context, { rows }: ResolvedSettings): Promise<void> {
  const items = rows.map(({ name, value, source }) => ({ name, value: value ?? null, source }))
  const text = await printData({ apiVersion: 'v1', kind: 'SettingList', items }, output)
  const table = items.map(({ name, value, source }) => [
    { text: name },
    { text: value === null || value === '' ? '-' : String(value) },
    { text: source },
  ])
  const heading = output.headers ? [['SETTING', 'VALUE', 'SOURCE'].map((text) => ({ text }))] : []
  await io.writeOut(text ?? formatTable([...heading, ...table], output.colour))
}
