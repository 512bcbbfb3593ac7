/** Changes of a machine's files and services, planned first, then told and done one by one. */

import { mkdirSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { messageOf, NetworkError } from '../lib/errors.ts'
import { replaceByCopy, replaceByLink, replaceFile } from '../lib/replace-file.ts'
import type { Context } from './command.ts'

export type Change =
  | {
      readonly kind: 'write'
      readonly path: string
      readonly content: string
      readonly mode: number
      readonly why: string
    }
  /** A symbolic link to `target`, or a copy of it with this mode. */
  | { readonly kind: 'link'; readonly path: string; readonly target: string; readonly why: string }
  | {
      readonly kind: 'copy'
      readonly path: string
      readonly target: string
      readonly mode: number
      readonly why: string
    }
  | { readonly kind: 'remove'; readonly path: string; readonly why: string }
  | { readonly kind: 'run'; readonly argv: readonly string[] }

export interface Plan {
  readonly changes: readonly Change[]
  /** What the user has to do or know, one sentence each. */
  readonly notes: readonly string[]
}

/** Tells each change once it is done, or with `--dry-run` that it would be; then the notes. `nothing`: said of no change. */
export async function carryOutPlan(
  { io, options }: Context,
  { changes, notes }: Plan,
  nothing: string,
): Promise<void> {
  const dry = options['dryRun'] === true
  for (const change of changes) {
    if (!dry) await carryOut(change)
    await io.writeOut(`${dry ? 'would ' : ''}${sentenceOf(change)}\n`)
  }
  if (changes.length === 0) await io.writeOut(`${nothing}\n`)
  for (const note of notes) io.writeErr(`note: ${note}\n`)
}

/** One line for people: `write /etc/… : why`. */
function sentenceOf(change: Change): string {
  switch (change.kind) {
    case 'write':
    case 'remove':
      return `${change.kind} ${change.path}: ${change.why}`
    case 'link':
    case 'copy':
      return `${change.kind} ${change.target} to ${change.path}: ${change.why}`
    case 'run':
      return `run ${change.argv.join(' ')}`
  }
}

/** Throws `forbidden` without permission, `kernel` for whatever else fails, naming the file or command. */
export async function carryOut(change: Change): Promise<void> {
  switch (change.kind) {
    case 'write':
      onFile('write', change.path, () => {
        mkdirSync(dirname(change.path), { recursive: true, mode: 0o755 })
        replaceFile(change.path, change.content, change.mode)
      })
      return
    case 'link':
      onFile('link', change.path, () => {
        mkdirSync(dirname(change.path), { recursive: true, mode: 0o755 })
        replaceByLink(change.path, change.target)
      })
      return
    case 'copy':
      onFile('copy', change.path, () => {
        mkdirSync(dirname(change.path), { recursive: true, mode: 0o755 })
        replaceByCopy(change.path, change.target, change.mode)
      })
      return
    case 'remove':
      onFile('remove', change.path, () => rmSync(change.path, { force: true }))
      return
    case 'run':
      await runToEnd(change.argv)
  }
}

function onFile(attempt: string, path: string, work: () => void): void {
  try {
    work()
  } catch (cause) {
    const errno = String((cause as NodeJS.ErrnoException).code)
    const refused = ['EACCES', 'EPERM'].includes(errno)
    const text = `Cannot ${attempt} ${path}: ${refused ? 'only root may' : messageOf(cause)}`
    const hint = refused ? { hint: 'the same command with sudo' } : {}
    throw new NetworkError(refused ? 'forbidden' : 'kernel', text, { ...hint, cause })
  }
}

async function runToEnd(argv: readonly string[]): Promise<void> {
  const { execFile } = await import('node:child_process')
  const [file = '', ...args] = argv
  await new Promise<void>((resolve, reject) => {
    execFile(file, args, (cause, _stdout, stderr) => {
      if (cause === null) resolve()
      else {
        const said = stderr.trim() || messageOf(cause)
        const text = `Cannot run ${argv.join(' ')}: ${said}`
        reject(new NetworkError('kernel', text, { cause }))
      }
    })
  })
}
