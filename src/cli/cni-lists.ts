/**
 * Network lists of CNI as files of one directory: ours are written and recognised here, those of others are read as
 * runtimes do. containerd, CRI-O and the kubelet behind them take the first by file name; podman, nerdctl and Nomad
 * ask for one by its `name`. Texts in, texts out, but for `readLists`.
 */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf, NetworkError } from '../lib/errors.ts'

/** Name of our executable among the plug-ins, and the `type` in lists. */
export const PLUGIN = 'carrick'
/** The list that runtimes take who ask for none. */
const FIRST = '10-carrick.conflist'
/** Written by us, whatever number a user gave it since. */
const OURS = /^\d*-?carrick(-.+)?\.conflist$/
const OTHERS = /^11-carrick-/
/** Files that containerd and CRI-O read; podman reads `.conflist` only. libcni, `ConfFiles` */
const READ = /\.(conf|conflist|json)$/

/** What our plug-in takes from runtimes: reference 2.1, and why `ips` is always there. */
const CAPABILITIES = {
  portMappings: true,
  ips: true,
  mac: true,
  dns: true,
  aliases: true,
  bandwidth: true,
  ipRanges: true,
  'io.kubernetes.cri.pod-annotations': true,
} as const

type JsonObject = Readonly<Record<string, unknown>>

/** One file of the directory. */
export interface ListFile {
  readonly file: string
  /** The network's name in CNI; undefined when it cannot be read. */
  readonly name: string | undefined
  /** True when one of its plug-ins is ours. */
  readonly ours: boolean
  /** Networks of ours that its plug-ins name. */
  readonly networks: readonly string[]
  /** Sockets of daemons that its plug-ins name. */
  readonly sockets: readonly string[]
  /** Why a runtime refuses it; it refuses those behind it, too, when it is containerd. */
  readonly problem?: string
}

/** What a list of ours says besides what all say. */
export interface ListWish {
  readonly network: string
  /** Socket of the daemon, where it is not the usual one. */
  readonly socket: string | undefined
  /** True: runtimes never collect garbage in it. Undefined: as it is. */
  readonly disableGc: boolean | undefined
}

/** The lists of a directory in the order in which runtimes see them; none when there is no such directory. */
export function readLists(directory: string): readonly ListFile[] {
  let names: readonly string[]
  try {
    names = readdirSync(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw new NetworkError('kernel', `Cannot list ${directory}: ${messageOf(error)}`, {
      cause: error,
    })
  }
  const found = names.filter((name) => READ.test(name)).sort((a, b) => (a < b ? -1 : 1))
  return found.map((file) => readList(file, () => readFileSync(join(directory, file), 'utf8')))
}

/** What a file says to runtimes. */
export function readList(file: string, read: () => string): ListFile {
  const unread = { file, name: undefined, ours: false, networks: [], sockets: [] }
  try {
    const list = parseObject(read())
    const plugins = file.endsWith('.conflist') ? pluginsOf(list) : [list]
    const name = list['name']
    if (typeof name !== 'string' || name === '') return { ...unread, problem: 'it has no name' }
    if (plugins.length === 0) return { ...unread, name, problem: 'it has no plug-ins' }
    const untyped = plugins.some(({ type }) => typeof type !== 'string' || type === '')
    if (untyped) return { ...unread, name, problem: 'a plug-in of it has no type' }
    const mine = plugins.filter(({ type }) => type === PLUGIN)
    return {
      ...{ file, name, ours: mine.length > 0 },
      networks: mine.map((plugin) => textIn(plugin, 'network') ?? name),
      sockets: mine.flatMap((plugin) => textIn(plugin, 'daemonSocket') ?? []),
    }
  } catch (error) {
    return { ...unread, problem: messageOf(error) }
  }
}

/** The lists that `install` wrote. */
export function isWrittenByUs({ file, ours }: ListFile): boolean {
  return ours && OURS.test(file)
}

/**
 * The file for a network's list: the one it has, else the first one's, else one behind it. Throws `conflict` when
 * another has the name or the file.
 */
export function fileFor(network: string, lists: readonly ListFile[], directory: string): string {
  const named = lists.filter(({ name }) => name === network)
  const mine = named.find(isWrittenByUs)
  if (mine !== undefined) return mine.file
  const [other] = named
  if (other !== undefined) {
    throw new NetworkError(
      'conflict',
      `Cannot install network ${network}: ${directory}/${other.file} is a list of that name already`,
      {
        hint: `remove ${directory}/${other.file}, if nobody needs it, or rename it and its "name"`,
      },
    )
  }
  const hasFirst = lists.some((list) => isWrittenByUs(list) && !OTHERS.test(list.file))
  const file = hasFirst ? `11-carrick-${network}.conflist` : FIRST
  if (lists.some((list) => list.file === file)) {
    throw new NetworkError(
      'conflict',
      `Cannot write ${directory}/${file}: what is there is not ours`,
      { hint: `remove ${directory}/${file}, if nobody needs it` },
    )
  }
  return file
}

/**
 * The list's text: a new one, or the one that is there with our words in it, whatever plug-ins and keys a user
 * added. Undefined when it says all that already.
 */
export function listText(wish: ListWish, before: string | undefined): string | undefined {
  if (before === undefined) return print(newList(wish))
  const list = parseObject(before)
  const plugins = pluginsOf(list).map((plugin) =>
    plugin['type'] === PLUGIN ? wishedPlugin(wish, plugin) : plugin,
  )
  const { disableGc } = wish
  const after = { ...list, ...(disableGc === undefined ? {} : { disableGC: disableGc }), plugins }
  return JSON.stringify(after) === JSON.stringify(list) ? undefined : print(after)
}

/** 1.0.0 for whoever knows no other; who knows `cniVersions` takes the newest that all plug-ins have. */
function newList(wish: ListWish): JsonObject {
  const { network, disableGc = false } = wish
  return {
    cniVersion: '1.0.0',
    cniVersions: ['0.4.0', '1.0.0', '1.1.0'],
    name: network,
    ...(disableGc ? { disableGC: true } : {}),
    plugins: [wishedPlugin(wish, {})],
  }
}

/** A capability that a user switched off stays off. */
function wishedPlugin({ network, socket }: ListWish, before: JsonObject): JsonObject {
  const { type: _type, network: _network, daemonSocket: _socket, capabilities, ...rest } = before
  const chosen = isObject(capabilities) ? capabilities : {}
  return {
    type: PLUGIN,
    network,
    ...(socket === undefined ? {} : { daemonSocket: socket }),
    ...rest,
    capabilities: { ...CAPABILITIES, ...chosen },
  }
}

function print(list: JsonObject): string {
  return `${JSON.stringify(list, null, 2)}\n`
}

function parseObject(text: string): JsonObject {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new NetworkError('invalid', text.trim() === '' ? 'it is empty' : 'it is not JSON')
  }
  if (isObject(value)) return value
  throw new NetworkError('invalid', 'it is no JSON object')
}

function pluginsOf(list: JsonObject): readonly JsonObject[] {
  const plugins = list['plugins'] ?? []
  if (Array.isArray(plugins) && plugins.every(isObject)) return plugins
  throw new NetworkError('invalid', 'its "plugins" is no list of objects')
}

function textIn(object: JsonObject, key: string): string | undefined {
  const value = object[key]
  return typeof value === 'string' && value !== '' ? value : undefined
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
