/**
 * Runs other plug-ins, as a runtime would: found in CNI_PATH, with the call's variables and standard input. Whoever may
 * use the daemon's socket says where to look, and the daemon is root: so only a file that none but root can have put
 * there is run, and only if it proves to be a CNI plug-in.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { CNI_CODE, cniError } from './errors.ts'

export interface PluginRun {
  readonly file: string
  /** CNI_* only; PATH is the daemon's. */
  readonly environment: Readonly<Record<string, string>>
  readonly stdin: string
  readonly timeoutMs: number
}

export interface PluginOutput {
  readonly exit: number | undefined
  readonly stdout: string
  readonly stderr: string
}

export interface FoundPlugin {
  readonly file: string
  /** Another one when the file is another. */
  readonly edition: string
}

/** Where plug-ins are, and what comes of running one. */
export interface Plugins {
  /** Throws code 105 when there is none that may be run. */
  find(type: string, path: readonly string[]): FoundPlugin
  /** Runs it to its end, which comes by force after the time it has; throws code 105 when it cannot be started. */
  run(run: PluginRun): Promise<PluginOutput>
}

/** More output than this is cut off. */
const MOST_BYTES = 1024 * 1024
const WRITABLE_BY_OTHERS = 0o022

/** Those of the system. */
export const PLUGINS: Plugins = { find: findPlugin, run: runPlugin }

function findPlugin(type: string, path: readonly string[]): FoundPlugin {
  const untrusted: string[] = []
  for (const directory of path) {
    if (!directory.startsWith('/')) continue
    const file = join(directory, type)
    const trusted = isRootsOwn(directory) && isRootsOwn(file)
    if (trusted === true) {
      const found = statSync(file)
      if (found.isFile()) return { file, edition: `${file} ${found.ino} ${found.mtimeMs}` }
    }
    if (trusted === false && isRootsOwn(file) !== undefined) untrusted.push(file)
  }
  const [file] = untrusted
  throw file === undefined
    ? cniError(
        CNI_CODE.DELEGATE,
        `Cannot run IPAM plug-in ${type}: it is in none of the directories of CNI_PATH: ${path.join(', ') || 'there is none'}`,
        { hint: 'install it there, or leave ipam out, and the network gives the addresses' },
      )
    : cniError(
        CNI_CODE.DELEGATE,
        `Cannot run IPAM plug-in ${file}: others than root may change it`,
        { hint: `chown root: ${file}; chmod go-w ${file} and its directory` },
      )
}

/** True when only root may change what is at the path; undefined when nothing is. */
function isRootsOwn(path: string): boolean | undefined {
  try {
    const { uid, mode } = statSync(path)
    return uid === 0 && (mode & WRITABLE_BY_OTHERS) === 0
  } catch {
    return undefined // whatever keeps it from us, there is nothing to run
  }
}

function runPlugin({ file, environment, stdin, timeoutMs }: PluginRun): Promise<PluginOutput> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, [], {
      env: { PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin', ...environment },
      cwd: '/',
      detached: true,
    })
    const timer = setTimeout(() => end(child), timeoutMs)
    const out = collect(child.stdout)
    const err = collect(child.stderr)
    child.once('error', (cause) => {
      clearTimeout(timer)
      reject(
        cniError(CNI_CODE.DELEGATE, `Cannot run ${file}: ${cause.message}`, {
          ...{ cause, hint: 'it must be a program that this host can run: install it anew' },
        }),
      )
    })
    child.once('close', (code) => {
      clearTimeout(timer)
      resolve({ exit: code ?? undefined, stdout: out.text(), stderr: err.text() })
    })
    child.stdin.on('error', () => undefined) // it need not read what it is told
    child.stdin.end(stdin)
  })
}

/** With all that it started: who still holds its output is waited for. */
function end({ pid, stdout, stderr }: ChildProcess): void {
  if (pid === undefined) return
  for (const output of [stdout, stderr]) output?.destroy()
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error // all of it has ended
  }
}

function collect(stream: NodeJS.ReadableStream): { text(): string } {
  const parts: Buffer[] = []
  let size = 0
  stream.on('data', (part: Buffer) => {
    size += part.length
    if (size <= MOST_BYTES) parts.push(part)
  })
  return { text: () => Buffer.concat(parts).toString('utf8') }
}
