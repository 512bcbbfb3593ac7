/** The process of a call of CNI or netavark: what `client.ts` answers is written, and gives the exit code. */

import { VERSION } from '../lib/version.ts'
import { banner, callDaemon } from './client.ts'
import type { CniReply } from './exchange.ts'
import { callNetavark } from './netavark.ts'

/** Answers a runtime's call. */
export async function runPlugin(): Promise<number> {
  return await write(await callDaemon({ environment: process.env, stdin: Bun.stdin.stream() }))
}

/** Answers a call of netavark or Podman. */
export async function runNetavark(args: readonly string[]): Promise<number> {
  const call = { args, environment: process.env, stdin: Bun.stdin.stream(), version: VERSION }
  return await write(await callNetavark(call))
}

/** Tells who we are; `argv0` is what we were called by. */
export async function runBanner(argv0: string): Promise<number> {
  return await write(banner(argv0.slice(argv0.lastIndexOf('/') + 1), VERSION))
}

async function write({ stdout, stderr = '', exit }: CniReply): Promise<number> {
  try {
    if (stderr !== '') await Bun.write(Bun.stderr, stderr)
    if (stdout !== '') await Bun.write(Bun.stdout, stdout)
    return exit
  } catch {
    return exit === 0 ? 1 : exit // nobody reads any more
  }
}
