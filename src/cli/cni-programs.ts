/**
 * Our executable where runtimes look for plug-ins. A symbolic link by default: an upgrade of the program is one of
 * the plug-in, in the same rename, and nothing of 100 MB lies twice on the disk. A copy where the link's end would not
 * be seen: from inside a container onto its host, or into a directory that a runtime sees in a file system of its own.
 * A link leads to the small program that answers for the executable as long as all is well; a copy stands alone.
 */

import {
  closeSync,
  lstatSync,
  openSync,
  readlinkSync,
  readSync,
  realpathSync,
  statSync,
} from 'node:fs'
import { join } from 'node:path'
import { CNI_CLIENT_SUFFIX } from '../cni/exchange.ts'
import type { Change } from './changes.ts'
import { PLUGIN } from './cni-lists.ts'

/** Where plug-ins of netavark are, unless its settings say otherwise. containers.conf(5), netavark_plugin_dirs */
export const NETAVARK_PLUGINS = '/usr/libexec/netavark'
const NETAVARK = [
  '/usr/libexec/podman/netavark',
  '/usr/lib/podman/netavark',
  '/usr/local/libexec/podman/netavark',
  '/usr/local/lib/podman/netavark',
]

/** What stands at a plug-in's path. */
export type Placed =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'link'; readonly target: string; readonly dangling: boolean }
  | { readonly kind: 'copy'; readonly executable: boolean }

/** What makes `program` start when a runtime starts `<directory>/carrick`; empty when it does already. */
export function planProgram(
  directory: string,
  program: string,
  how: 'link' | 'copy',
  why: string,
): readonly Change[] {
  const path = join(directory, PLUGIN)
  const found = placedAt(path)
  if (how === 'link') {
    const isIt = found.kind === 'link' && found.target === program
    return isIt || isSameFile(path, program) ? [] : [{ kind: 'link', path, target: program, why }]
  }
  if (found.kind === 'copy' && found.executable && hasSameBytes(path, program)) return []
  return [{ kind: 'copy', path, target: program, mode: 0o755, why }]
}

/** What runtimes of CNI shall start at `<directory>/carrick`: the small program beside `program`, where there is one. */
export function programOfCni(directory: string, program: string): string {
  const client = `${program}${CNI_CLIENT_SUFFIX}`
  if (isSameFile(join(directory, PLUGIN), program)) return program
  return statSync(client, { throwIfNoEntry: false })?.isFile() === true ? client : program
}

/** What takes it away; empty when nothing is there. */
export function planProgramRemoval(directory: string, why: string): readonly Change[] {
  const path = join(directory, PLUGIN)
  return placedAt(path).kind === 'nothing' ? [] : [{ kind: 'remove', path, why }]
}

export function placedAt(path: string): Placed {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined) return { kind: 'nothing' }
  if (!found.isSymbolicLink()) return { kind: 'copy', executable: (found.mode & 0o111) !== 0 }
  const dangling = statSync(path, { throwIfNoEntry: false }) === undefined
  return { kind: 'link', target: readlinkSync(path), dangling }
}

/** True when netavark is installed below `root`. */
export function hasNetavark(root: string): boolean {
  return NETAVARK.some(
    (path) => statSync(`${root}${path}`, { throwIfNoEntry: false }) !== undefined,
  )
}

/** A link to itself would start nothing. */
function isSameFile(one: string, other: string): boolean {
  const [a, b] = [one, other].map((path) =>
    statSync(path, { throwIfNoEntry: false }) === undefined ? undefined : realpathSync(path),
  )
  return a !== undefined && a === b && lstatSync(one).isFile()
}

function hasSameBytes(one: string, other: string): boolean {
  const size = statSync(other).size
  if (statSync(one).size !== size) return false
  const [a, b] = [openSync(one, 'r'), openSync(other, 'r')]
  try {
    const parts = [Buffer.alloc(1 << 20), Buffer.alloc(1 << 20)] as const
    for (let at = 0; at < size; at += parts[0].length) {
      const read = readSync(a, parts[0], 0, parts[0].length, at)
      if (readSync(b, parts[1], 0, parts[1].length, at) !== read || read === 0) return false
      if (!parts[0].subarray(0, read).equals(parts[1].subarray(0, read))) return false
    }
    return true
  } finally {
    closeSync(a)
    closeSync(b)
  }
}
