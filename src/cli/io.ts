/** What a command sees of the process it runs in; tests hand in their own. */

import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'

export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdinIsTerminal: boolean
  readonly stdoutIsTerminal: boolean
  readonly stderrIsTerminal: boolean
  /** Resolves when the reader has it; throws ReaderGone when there is none. */
  writeOut(text: string): Promise<void>
  writeErr(text: string): void
  /** The whole of a file, or of standard input when `path` is `-`. */
  readText(path: string): Promise<string>
  /** One line typed by the user. */
  ask(question: string): Promise<string>
  /** Milliseconds since the epoch. */
  now(): number
  /** Aborted by the first Ctrl-C. */
  readonly signal: AbortSignal
}

/** Ctrl-C came while the daemon was asked. */
export class Interrupted extends Error {
  /** True when something was to be changed: it may have been. */
  readonly changing: boolean

  constructor(changing: boolean) {
    super('interrupted')
    this.changing = changing
  }
}

/** Whoever read standard output went away: the command ends quietly with 141. */
export class ReaderGone extends Error {}

/** The process's own terminal, files and clock; Ctrl-C aborts, and ends at once the second time. */
export function processIo(): Io {
  const interrupted = new AbortController()
  process.on('SIGINT', () => {
    if (interrupted.signal.aborted) process.exit(130)
    interrupted.abort()
  })
  process.stdout.on('error', () => {}) // told to the writer below
  return {
    env: process.env,
    stdinIsTerminal: process.stdin.isTTY === true,
    stdoutIsTerminal: process.stdout.isTTY === true,
    stderrIsTerminal: process.stderr.isTTY === true,
    writeOut: (data) =>
      new Promise((resolve, reject) => {
        process.stdout.write(data, (error: NodeJS.ErrnoException | null | undefined) => {
          if (error === null || error === undefined) resolve()
          else reject(error.code === 'EPIPE' ? new ReaderGone() : error)
        })
      }),
    writeErr: (data) => void process.stderr.write(data),
    readText: (path) => (path === '-' ? text(process.stdin) : readFile(path, 'utf8')),
    async ask(question) {
      const { createInterface } = await import('node:readline/promises')
      const terminal = createInterface({ input: process.stdin, output: process.stderr })
      try {
        return await terminal.question(question, { signal: interrupted.signal })
      } finally {
        terminal.close()
      }
    },
    now: Date.now,
    signal: interrupted.signal,
  }
}
