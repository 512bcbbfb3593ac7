/**
 * What `carrick docker install` and `uninstall` do: units for the service manager, and our resolver among the
 * engine's servers for names. Everything is looked at before the first change; doing it twice does nothing.
 */

import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import { NetworkError } from '../lib/errors.ts'
import { type Change, carryOutPlan, type Plan } from './changes.ts'
import type { Context } from './command.ts'
import { isOurs, UNITS, type UnitName, unitText } from './docker-units.ts'
import { withoutResolver, withResolver } from './engine-settings.ts'
import { programPath } from './program-path.ts'

/** sd_booted(3): the service manager makes it. */
const MANAGER = '/run/systemd/system'
const PACKAGED_UNITS = ['/usr/lib/systemd/system', '/lib/systemd/system']
const OWN_UNITS = '/etc/systemd/system'
const ENGINE_SETTINGS = '/etc/docker/daemon.json'
const UNITS_START = { who: 'units', command: 'carrick docker install' }
const BACKUP = '/etc/docker/daemon.json.before-carrick'

/** Whose files, and whether a service manager is to hear of it. */
export interface Place {
  /** Before every path; empty for the machine itself. */
  readonly root: string
  readonly manager: boolean
}

export async function install(context: Context): Promise<void> {
  const place = placeOf(context)
  const plan = planInstall(
    place,
    programPath(context.options['executable'], UNITS_START),
    dnsFlagGiven(place),
  )
  await carryOutPlan(context, plan, 'everything is installed already')
}

export async function uninstall(context: Context): Promise<void> {
  await carryOutPlan(context, planUninstall(placeOf(context)), 'nothing is installed')
}

/** Looks at the files and says what is missing. Throws `invalid` or `conflict` when something is in the way. */
export function planInstall(place: Place, executable: string, dnsFlag: boolean): Plan {
  const { root, manager } = place
  if (dnsFlag) {
    throw new NetworkError(
      'conflict',
      'Cannot change the engine’s servers for names: dockerd was started with --dns, and refuses to start with both',
      { hint: `move its --dns into "dns" of ${ENGINE_SETTINGS}, restart it, and try again` },
    )
  }
  const units = UNITS.filter((name) => !isPackaged(place, name))
  const writes = units.flatMap((name): Change[] => {
    const path = `${root}${OWN_UNITS}/${name}`
    const content = unitText(name, executable)
    const found = textOf(path)
    if (found === content) return []
    if (found !== undefined && !isOurs(found)) {
      throw new NetworkError('conflict', `Cannot write ${path}: another's unit is there`, {
        hint: `remove ${path}, if nobody needs it`,
      })
    }
    return [{ kind: 'write', path, content, mode: 0o644, why: 'starts Carrick before Docker' }]
  })
  const path = `${root}${ENGINE_SETTINGS}`
  const before = textOf(path)
  const after = withResolver(before, path)
  const wiring: Change[] = []
  if (after !== undefined) {
    const backup = `${root}${BACKUP}`
    if (before !== undefined && !existsSync(backup)) {
      const why = 'the engine’s settings as they were'
      wiring.push({ kind: 'write', path: backup, content: before, mode: 0o600, why })
    }
    const why = 'containers ask Carrick for names'
    wiring.push({ kind: 'write', path, content: after, mode: 0o644, why })
  }
  const starts: Change[] =
    manager && writes.length > 0
      ? [systemctl('daemon-reload'), systemctl('enable', '--now', ...UNITS)]
      : manager && !isEnabled(place)
        ? [systemctl('enable', '--now', ...UNITS)]
        : []
  const changes = [...writes, ...starts, ...wiring]
  return {
    changes,
    notes: [
      ...(manager || changes.length === 0 ? [] : [noManager(root)]),
      ...(after === undefined ? [] : [restartNote(manager)]),
    ],
  }
}

/** Looks at the files and says what of them is to go. Throws `invalid` when the engine's file cannot be read. */
export function planUninstall({ root, manager }: Place): Plan {
  const path = `${root}${ENGINE_SETTINGS}`
  const backup = `${root}${BACKUP}`
  const original = textOf(backup)
  const settings = textOf(path)
  const without = settings === undefined ? undefined : withoutResolver(settings, original, path)
  const why = 'containers ask nobody of ours for names'
  const changes: Change[] = []
  if (without === '') changes.push({ kind: 'remove', path, why })
  else if (without !== undefined) {
    changes.push({ kind: 'write', path, content: without, mode: 0o644, why })
  }
  if (original !== undefined) {
    changes.push({ kind: 'remove', path: backup, why: 'the engine’s settings as they were' })
  }
  const units = UNITS.filter((name) => isOurs(textOf(`${root}${OWN_UNITS}/${name}`) ?? ''))
  if (manager && units.length > 0) changes.push(systemctl('disable', '--now', ...units))
  for (const name of units) {
    const why = 'written by `carrick docker install`'
    changes.push({ kind: 'remove', path: `${root}${OWN_UNITS}/${name}`, why })
  }
  if (manager && units.length > 0) changes.push(systemctl('daemon-reload'))
  return {
    changes,
    notes: [
      ...(units.length > 0 && manager
        ? ['the agent is stopped; what it put into the kernel stays, and containers go on']
        : []),
      ...(without === undefined ? [] : [restartNote(manager)]),
    ],
  }
}

function placeOf({ options }: Context): Place {
  const root = String(options['root'] ?? '').replace(/\/+$/, '')
  return { root, manager: root === '' && existsSync(MANAGER) }
}

function isPackaged({ root }: Place, name: UnitName): boolean {
  return PACKAGED_UNITS.some((directory) => existsSync(`${root}${directory}/${name}`))
}

/** As `systemctl enable` leaves it. */
function isEnabled({ root }: Place): boolean {
  return existsSync(`${root}${OWN_UNITS}/sockets.target.wants/carrick-docker.socket`)
}

function systemctl(...args: readonly string[]): Change {
  return { kind: 'run', argv: ['systemctl', ...args] }
}

function noManager(root: string): string {
  return root === ''
    ? 'systemd does not run here: start `carrick daemon` before dockerd yourself'
    : `nothing was started, for these are the files below ${root}`
}

/** The engine reads its servers for names at its start only. */
function restartNote(manager: boolean): string {
  const how = manager ? 'systemctl restart docker' : 'end dockerd and start it again'
  return `the engine reads "dns" when it starts, a reload is not enough: ${how}. Containers started from then on ask so; with "live-restore" running ones stay up`
}

/** True when an engine of this network namespace was started with `--dns`. */
function dnsFlagGiven({ root }: Place): boolean {
  if (root !== '') return false
  const here = linkOf('/proc/self/ns/net')
  return readdirSync('/proc').some((pid) => {
    if (!/^\d+$/.test(pid)) return false
    const argv = (textOf(`/proc/${pid}/cmdline`) ?? '').split('\0')
    const given = argv.some((word) => word === '--dns' || word.startsWith('--dns='))
    return given && basename(argv[0] ?? '') === 'dockerd' && linkOf(`/proc/${pid}/ns/net`) === here
  })
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined // ended meanwhile, or another user's
  }
}

/** Undefined when there is no such file. Throws `forbidden` when it may not be read. */
function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'ENOTDIR') return undefined
    throw new NetworkError('forbidden', `Cannot read ${path}: ${String(code)}`, {
      hint: 'the same command with sudo',
      cause,
    })
  }
}
