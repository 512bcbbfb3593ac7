/**
 * What `carrick cni install` and `uninstall` do: our executable where runtimes look for plug-ins, then a list for a
 * network, each by a rename; away in the opposite order. Everything is looked at before the first change; doing it
 * twice does nothing.
 */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Endpoint } from '../api/rest/endpoint-schemas.ts'
import type { Network } from '../api/rest/network-schemas.ts'
import { netavarkNetwork } from '../cni/netavark-exchange.ts'
import { isNetworkError, NetworkError } from '../lib/errors.ts'
import { CNI_LABELS } from '../model/cni.ts'
import { containerNameOf } from '../model/container-name.ts'
import { type Change, carryOutPlan, type Plan } from './changes.ts'
import { DEFAULT_SOCKET } from './client.ts'
import { fileFor, isWrittenByUs, type ListFile, listText, PLUGIN, readLists } from './cni-lists.ts'
import {
  hasNetavark,
  NETAVARK_PLUGINS,
  planProgram,
  planProgramRemoval,
  programOfCni,
} from './cni-programs.ts'
import { CONFIG_DIRECTORY, type Places, programDirectories, runtimeNotes } from './cni-runtimes.ts'
import type { Context, Options } from './command.ts'
import { programPath } from './program-path.ts'

export interface CniPlaces extends Places {
  /** Where netavark looks for plug-ins; undefined: none is put there. */
  readonly netavark: string | undefined
}

export interface InstallWish {
  readonly network: string
  readonly program: string
  readonly how: 'link' | 'copy'
  readonly socket: string | undefined
  readonly disableGc: boolean | undefined
}

export async function install(context: Context): Promise<void> {
  const { options, client } = context
  const places = placesOf(options)
  const program = programPath(options['executable'], {
    who: 'runtimes of containers',
    command: 'carrick cni install',
  })
  // A list says that pods can be served: the daemon must answer before it is there.
  const network = chooseNetwork(options['network'], await client.list<Network>('/v1/networks'))
  const plan = planInstall(places, {
    ...{ network, program },
    how: places.root === '' && options['copy'] !== true ? 'link' : 'copy',
    socket: socketIn(places, client.socket),
    disableGc: options['disableGc'] === true ? true : undefined,
  })
  await carryOutPlan(context, plan, 'everything is installed already')
}

export async function uninstall(context: Context): Promise<void> {
  const { options } = context
  const places = placesOf(options)
  const wanted = options['network'] === undefined ? undefined : String(options['network'])
  const plan = planUninstall(places, wanted)
  if (options['force'] !== true && plan.changes.length > 0) {
    await refuseWhileAttached(context, plan.takesFrom)
  }
  const none = wanted === undefined ? 'nothing' : `no list named ${wanted}`
  await carryOutPlan(context, plan, `${none} is installed`)
}

/** Looks at the files and says what is missing. Throws `invalid` or `conflict` when something is in the way. */
export function planInstall(places: CniPlaces, wish: InstallWish): Plan {
  const { root, bins, netavark } = places
  const { network, program, how } = wish
  const directory = `${root}${places.directory}`
  const lists = readLists(directory)
  const file = fileFor(network, lists, directory)
  const path = join(directory, file)
  const there = lists.some((list) => list.file === file)
  const text = listText(wish, there ? readFileSync(path, 'utf8') : undefined)
  const place = (bin: string, started: string) =>
    planProgram(bin, started, how, 'runtimes start it, once for each call')
  const changes: Change[] = bins.flatMap((bin) =>
    place(`${root}${bin}`, how === 'link' ? programOfCni(`${root}${bin}`, program) : program),
  )
  if (netavark !== undefined) changes.push(...place(`${root}${netavark}`, program))
  if (text !== undefined) {
    const why = `containers that ask for ${network} are attached to network ${network}`
    changes.push({ kind: 'write', path, content: text, mode: 0o644, why })
  }
  const before = lists.filter((list) => list.file < file)
  return {
    changes,
    notes: [
      ...before.map((list) => beforeNote(list, directory)),
      ...runtimeNotes(places, network, before.length === 0),
      ...(netavark === undefined ? [] : [netavarkNote(network, netavark)]),
    ],
  }
}

/** Looks at the files and says what of them is to go, and from containers of which CNI networks. */
export function planUninstall(
  places: CniPlaces,
  network: string | undefined,
): Plan & { readonly takesFrom: (network: string) => boolean } {
  const { root, bins, netavark } = places
  const directory = `${root}${places.directory}`
  const lists = readLists(directory)
  const going = lists.filter(
    (list) => isWrittenByUs(list) && (network === undefined || list.name === network),
  )
  const staying = lists.filter((list) => list.ours && !going.includes(list))
  const changes = going.map(
    ({ file, name }): Change => ({
      kind: 'remove',
      path: join(directory, file),
      why: `nobody is attached to network ${name} from now on`,
    }),
  )
  // What uses the executable has gone before it.
  if (staying.length === 0) {
    for (const bin of [...bins, ...(netavark === undefined ? [] : [netavark])]) {
      changes.push(...planProgramRemoval(`${root}${bin}`, 'no list names it any more'))
    }
  }
  return {
    changes,
    notes: staying
      .filter((list) => network === undefined || !isWrittenByUs(list))
      .map(
        ({ file }) =>
          `${directory}/${file} names ${PLUGIN} and is not ours: it stays, and so does the executable`,
      ),
    takesFrom: (name) =>
      going.some((list) => list.name === name) ||
      (staying.length === 0 && name.startsWith(netavarkNetwork(''))),
  }
}

export function placesOf(options: Options): CniPlaces {
  const root = String(options['root'] ?? '').replace(/\/+$/, '')
  const chosen = options['bin'] as readonly string[] | undefined // made by `collect`
  // False after --no-netavark; commander says true where neither was given.
  const wished = options['netavark']
  const found = hasNetavark(root) ? NETAVARK_PLUGINS : undefined
  const netavark = typeof wished === 'string' ? wished : wished === false ? undefined : found
  return {
    root,
    directory: directoryOf(options['dir'] ?? CONFIG_DIRECTORY, '--dir'),
    bins: (chosen ?? programDirectories(root)).map((path) => directoryOf(path, '--bin')),
    netavark: netavark === undefined ? undefined : directoryOf(netavark, '--netavark'),
  }
}

/** Of the daemon as runtimes see it, who live in the root; undefined for the usual one. */
function socketIn({ root }: CniPlaces, path: string): string | undefined {
  const seen = root !== '' && path.startsWith(`${root}/`) ? path.slice(root.length) : path
  return seen === DEFAULT_SOCKET ? undefined : seen
}

function directoryOf(value: unknown, flag: string): string {
  const path = String(value)
  if (path.startsWith('/')) return path.replace(/(?<=.)\/+$/, '')
  throw new NetworkError('invalid', `Cannot take ${flag} "${path}": a path from / is needed`)
}

/** Without a name the only one there is. Throws `invalid` or `not-found` saying what to type. */
function chooseNetwork(wanted: unknown, networks: readonly Network[]): string {
  const names = networks.map(({ metadata }) => metadata.name).sort()
  if (typeof wanted === 'string') {
    const found = networks.find(({ metadata: { id, name } }) => [id, name].includes(wanted))
    if (found !== undefined) return found.metadata.name
    const known = names.length === 0 ? 'there is none' : `there are ${names.join(', ')}`
    throw new NetworkError('not-found', `Cannot find network "${wanted}": ${known}`, {
      hint: `carrick network create ${wanted}`,
    })
  }
  const [first, second] = names
  if (first === undefined) {
    throw new NetworkError('not-found', 'Cannot install a list: there is no network yet', {
      hint: 'carrick network create blue; carrick cni install --network blue',
    })
  }
  if (second === undefined) return first
  throw new NetworkError(
    'invalid',
    `Cannot tell which network containers shall be attached to: there are ${names.join(', ')}`,
    { hint: `carrick cni install --network ${first}` },
  )
}

/** Without its list a runtime cannot tell us that a container has gone. */
async function refuseWhileAttached(
  context: Context,
  takesFrom: (network: string) => boolean,
): Promise<void> {
  let attached: readonly Endpoint[]
  try {
    const all = await context.client.list<Endpoint>('/v1/endpoints', {
      labelSelector: CNI_LABELS.network,
    })
    attached = all.filter(
      ({ metadata, status }) =>
        status.local && takesFrom(metadata.labels[CNI_LABELS.network] ?? ''),
    )
  } catch (error) {
    if (!isNetworkError(error, 'unavailable')) throw error
    throw new NetworkError(
      'unavailable',
      'Cannot tell whether containers are attached: the daemon does not answer',
      { cause: error, hint: 'start it, or carrick cni uninstall --force' },
    )
  }
  if (attached.length === 0) return
  const some = attached
    .slice(0, 3)
    .map(({ metadata: { name, labels, id } }) => name ?? containerNameOf(labels) ?? id)
  const more = attached.length > some.length ? ` and ${attached.length - some.length} more` : ''
  throw new NetworkError(
    'conflict',
    `Cannot take the list away: ${some.join(', ')}${more} ${attached.length === 1 ? 'is' : 'are'} attached by it, and runtimes could not detach without`,
    { hint: `carrick endpoint ls -l ${CNI_LABELS.network}   # stop these, or --force` },
  )
}

function beforeNote({ file, name, problem }: ListFile, directory: string): string {
  return problem === undefined
    ? `${directory}/${file} (${name}) sorts before ours: containerd, CRI-O and kubelet use that one`
    : `${directory}/${file} sorts before ours and cannot be read (${problem}): containerd uses no list at all until it is mended or gone`
}

function netavarkNote(network: string, directory: string): string {
  return `Podman (netavark 1.6 or later): podman network create -d ${PLUGIN} ${network}; netavark_plugin_dirs of containers.conf must have ${directory}, as it has by default`
}
