/**
 * `carrick cni status`: what runtimes find on this host, and what stands in the way, each with what mends it. Files
 * are read here; networks and attachments are asked of the daemon, without which the rest is told all the same.
 */

import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import type { Endpoint } from '../api/rest/endpoint-schemas.ts'
import type { Network } from '../api/rest/network-schemas.ts'
import { isNetworkError } from '../lib/errors.ts'
import { VERSION } from '../lib/version.ts'
import { CNI_LABELS } from '../model/cni.ts'
import { type CniPlaces, placesOf } from './cni-install.ts'
import { isWrittenByUs, type ListFile, PLUGIN, readLists } from './cni-lists.ts'
import { placedAt } from './cni-programs.ts'
import { type Blind, blindWatchers } from './cni-runtimes.ts'
import type { Context } from './command.ts'
import { printData } from './output.ts'
import { type Cell, formatTable, type Tone } from './table.ts'

/** A plug-in that hangs is as bad as none. */
const VERSION_MS = 5_000

/** What the daemon knows; undefined when it does not answer. */
export interface Known {
  readonly networks: readonly string[]
  /** Attachments of this host by the runtime's name for the network. */
  readonly attached: Readonly<Record<string, number>>
}

interface Problem {
  readonly message: string
  readonly hint: string
}

interface Program {
  readonly path: string
  readonly kind: 'nothing' | 'link' | 'copy'
  readonly target?: string
  readonly version?: string
}

interface CniStatus {
  readonly directory: string
  readonly lists: readonly (ListFile & { readonly attached: number })[]
  readonly programs: readonly Program[]
  /** Detaches that came while the daemon was away, and wait for it. */
  readonly waiting: number
  readonly problems: readonly Problem[]
}

export async function showStatus(context: Context): Promise<void> {
  const places = placesOf(context.options)
  const blind = places.root === '' ? blindWatchers(places.directory) : []
  const status = statusOf(places, await askDaemon(context), blind)
  const { quiet, colour } = context.output
  const document = { apiVersion: 'v1', kind: 'Cni', status }
  const text = quiet ? String(status.problems.length) : pageOf(status, colour)
  await context.io.writeOut((await printData(document, context.output)) ?? `${text}\n`)
}

/** What the files say, beside what the daemon knows. */
export function statusOf(
  places: CniPlaces,
  known: Known | undefined,
  blind: readonly Blind[],
): CniStatus {
  const { root, bins, netavark } = places
  const directory = `${root}${places.directory}`
  const lists = readLists(directory)
  const programs = [...bins, ...(netavark === undefined ? [] : [netavark])].map((bin) =>
    programAt(`${root}${bin}/${PLUGIN}`),
  )
  return {
    directory,
    lists: lists.map((list) => ({ ...list, attached: known?.attached[list.name ?? ''] ?? 0 })),
    programs,
    waiting: waitingIn(`${root}/var/lib/carrick/cni-spool`),
    problems: [
      ...(known === undefined ? [DAEMON_AWAY] : []),
      ...orderProblems(lists, directory),
      ...networkProblems(lists, directory, known),
      ...(lists.some(({ ours }) => ours) ? programProblems(programs, bins, root) : []),
      ...blind.map((each) => blindProblem(each, directory)),
    ],
  }
}

const DAEMON_AWAY: Problem = {
  message:
    'the daemon does not answer: no container can be attached, and those that go wait for it',
  hint: 'systemctl start carrick   # or, by hand: carrick daemon',
}

function orderProblems(lists: readonly ListFile[], directory: string): readonly Problem[] {
  const first = lists.findIndex(isWrittenByUs)
  const mine = lists[first]
  const before = first < 0 ? lists : lists.slice(0, first)
  const unread = before.filter(({ problem }) => problem !== undefined)
  const other = mine === undefined ? undefined : before.find(({ problem }) => problem === undefined)
  return [
    ...(mine === undefined
      ? [{ message: `no list of ours is in ${directory}`, hint: 'carrick cni install' }]
      : []),
    ...unread.map(({ file, problem }) => ({
      message: `${file} cannot be read (${problem}): containerd loads neither it nor what sorts behind it`,
      hint: `mend or remove ${directory}/${file}`,
    })),
    ...(mine === undefined || other === undefined
      ? []
      : [
          {
            message: `${other.file} (${other.name}) sorts before ${mine.file}: containerd, CRI-O and kubelet use that one`,
            hint: `mv ${directory}/${mine.file} ${directory}/00-carrick.conflist   # or remove ${other.file}`,
          },
        ]),
  ]
}

function networkProblems(
  lists: readonly ListFile[],
  directory: string,
  known: Known | undefined,
): readonly Problem[] {
  const gone = lists.flatMap(({ file, networks }) =>
    networks
      .filter((network) => known !== undefined && !known.networks.includes(network))
      .map((network) => ({
        message: `${file} attaches to network ${network}, which is not there`,
        hint: `carrick network create ${network}   # or carrick cni uninstall --network ${network}`,
      })),
  )
  const twice = lists.filter(
    ({ name, ours }, i) =>
      name !== undefined &&
      lists.some((other, k) => k < i && other.name === name && (ours || other.ours)),
  )
  return [
    ...gone,
    ...twice.map(({ file, name }) => ({
      message: `${file} is a second list with the name ${name}: who asks for it by name may get either`,
      hint: `remove ${directory}/${file}`,
    })),
  ]
}

function programProblems(
  programs: readonly Program[],
  bins: readonly string[],
  root: string,
): readonly Problem[] {
  const install = 'carrick cni install'
  return programs.flatMap((program, i): readonly Problem[] => {
    const { path, kind, target, version } = program
    if (kind === 'nothing') {
      const plugin = i < bins.length ? 'runtimes that look there' : 'Podman'
      return [{ message: `${path} is missing: ${plugin} cannot attach`, hint: install }]
    }
    if (version === undefined) {
      const why = target === undefined ? 'it does not start' : `${root}${target} does not start`
      return [{ message: `${path} is of no use: ${why}`, hint: install }]
    }
    if (version === VERSION) return []
    const hint = `${install}${kind === 'copy' ? ' --copy' : ''}`
    return [{ message: `${path} is of version ${version}, this is ${VERSION}`, hint }]
  })
}

function blindProblem({ name, pid }: Blind, directory: string): Problem {
  return {
    message: `${name} (process ${pid}) does not watch ${directory}: it was made anew since ${name} started`,
    hint: `systemctl restart ${name}`,
  }
}

/** A program is asked for its version as people ask: nothing of CNI is in its surroundings. */
function programAt(path: string): Program {
  const placed = placedAt(path)
  if (placed.kind === 'nothing') return { path, kind: 'nothing' }
  const { status, stdout } = spawnSync(path, ['--version'], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] ?? '' },
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: VERSION_MS,
  })
  const version = status === 0 ? stdout.trim() : ''
  return {
    path,
    kind: placed.kind,
    ...(placed.kind === 'link' ? { target: placed.target } : {}),
    ...(version === '' ? {} : { version }),
  }
}

async function askDaemon({ client }: Context): Promise<Known | undefined> {
  try {
    const networks = await client.list<Network>('/v1/networks')
    const endpoints = await client.list<Endpoint>('/v1/endpoints', {
      labelSelector: CNI_LABELS.network,
    })
    const attached: Record<string, number> = {}
    for (const { metadata, status } of endpoints) {
      const name = metadata.labels[CNI_LABELS.network] ?? ''
      if (status.local) attached[name] = (attached[name] ?? 0) + 1
    }
    return { networks: networks.flatMap(({ metadata: { id, name } }) => [name, id]), attached }
  } catch (error) {
    if (isNetworkError(error, 'unavailable')) return undefined
    throw error
  }
}

function waitingIn(spool: string): number {
  try {
    return readdirSync(spool).filter((name) => name.endsWith('.json')).length
  } catch {
    return 0 // nothing was ever put there, or it is not ours to read
  }
}

/** Without the final line end. */
function pageOf(
  { directory, lists, programs, waiting, problems }: CniStatus,
  colour: boolean,
): string {
  const page = formatTable(
    [
      row('lists', directory),
      ...lists.map((list) =>
        row('list', listLine(list), list.problem === undefined ? 'plain' : 'bad'),
      ),
      ...programs.map((program) =>
        row('program', programLine(program), program.version === undefined ? 'bad' : 'plain'),
      ),
      ...(waiting === 0
        ? []
        : [row('waiting', `${waiting} detached while the daemon was away`, 'bad')]),
      ...problems.flatMap(({ message, hint }) => [
        row('problem', message, 'bad'),
        row('hint', hint),
      ]),
    ],
    colour,
  )
  return page.trimEnd()
}

function listLine(list: ListFile & { readonly attached: number }): string {
  const { file, name, ours, networks, problem, attached } = list
  if (problem !== undefined) return `${file}: ${problem}`
  if (!ours) return `${file}: ${name}, of another plug-in`
  const different = networks.filter((network) => network !== name)
  const leads = different.length === 0 ? '' : ` to network ${different.join(', ')}`
  return `${file}: ${name}${leads}, ${attached} attached here`
}

function programLine({ path, kind, target, version }: Program): string {
  if (kind === 'nothing') return `${path}: missing`
  const what = target === undefined ? 'a copy' : `a link to ${target}`
  return `${path}: ${what}, ${version === undefined ? 'does not start' : `version ${version}`}`
}

function row(name: string, text: string, tone: Tone = 'plain'): Cell[] {
  return [{ text: `${name}:` }, { text, tone }]
}
