/** The process of a call of CNI or netavark: what is answered is written, and with that it ends. */

import { isNetworkError } from '../lib/errors.ts'
import { VERSION } from '../lib/version.ts'
import { banner, callDaemon } from './client.ts'
import type { CniReply } from './exchange.ts'
import { Deadline, exit, writeAll } from './libc.ts'

const STDIN = 0
const STDOUT = 1
const STDERR = 2
/** A runtime that reads nothing will not. */
const WRITE_MS = 10_000

/** Answers a runtime's call. */
export async function runPlugin(): Promise<never> {
  return end(await callDaemon({ environment: process.env, stdin: STDIN }))
}

/** Answers a call of netavark or Podman. */
export async function runNetavark(args: readonly string[]): Promise<never> {
  const { callNetavark } = await import('./netavark.ts')
  const call = { args, environment: process.env, stdin: STDIN, version: VERSION }
  return end(await callNetavark(call))
}

/** Tells who we are; `argv0` is what we were called by. */
export function runBanner(argv0: string): never {
  return end(banner(argv0.slice(argv0.lastIndexOf('/') + 1), VERSION))
}

function end({ stdout, stderr = '', exit: code }: CniReply): never {
  const deadline = new Deadline(WRITE_MS)
  const encoder = new TextEncoder()
  try {
    if (stderr !== '') writeAll(STDERR, encoder.encode(stderr), deadline)
    if (stdout !== '') writeAll(STDOUT, encoder.encode(stdout), deadline)
  } catch (error) {
    if (!isNetworkError(error)) throw error
    exit(code === 0 ? 1 : code) // nobody reads any more
  }
  return exit(code)
}
