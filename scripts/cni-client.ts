/**
 * Compiles src/cni/client.c, which answers calls of CNI runtimes ten times as fast as the executable can start. It
 * lies beside it; where there is none, or no compiler, runtimes start the executable itself.
 */

import { spawnSync } from 'node:child_process'
import { mkdirSync, renameSync } from 'node:fs'
import { dirname, join } from 'node:path'
import {
  CNI_CLIENT_SUFFIX,
  CNI_PATH,
  DEADLINES_MS,
  DEFAULT_SOCKET,
  FOUND_VARIABLE,
  STDIN_BYTES,
  versionsText,
} from '../src/cni/exchange.ts'

const SOURCE = join(import.meta.dirname, '../src/cni/client.c')

/** Writes the program to `path`; tells why it could not, or undefined. `socket` replaces the daemon's own. */
export function buildCniClient(path: string, socket = DEFAULT_SOCKET): string | undefined {
  mkdirSync(dirname(path), { recursive: true })
  const deadlines = Object.entries(DEADLINES_MS).map(([verb, ms]) => `{${quoted(verb)}, ${ms}}`)
  const flags = [
    ...['-O2', '-std=gnu11', '-Wall', '-Wextra', '-Werror', '-s', '-static'],
    `-DPATH=${quoted(CNI_PATH)}`,
    `-DSOCKET=${quoted(socket)}`,
    `-DSTDIN_BYTES=${STDIN_BYTES}`,
    `-DSUFFIX=${quoted(CNI_CLIENT_SUFFIX)}`,
    `-DFOUND=${quoted(FOUND_VARIABLE)}`,
    `-DVERSIONS=${quoted(versionsText())}`,
    `-DDEADLINES=${deadlines.join(', ')}`,
  ]
  // A name of its own first: two builds at once never run a half-written program.
  const half = `${path}.${process.pid}`
  let problem = 'neither clang nor gcc found'
  for (const compiler of ['clang', 'gcc', 'cc']) {
    const { error, status, stderr } = spawnSync(compiler, [...flags, '-o', half, SOURCE])
    if (error !== undefined) continue
    if (status === 0) {
      renameSync(half, path)
      return undefined
    }
    problem = `${compiler}: ${stderr.toString().trim()}`
  }
  return problem
}

/** As a string of C. */
function quoted(text: string): string {
  return JSON.stringify(text)
}
