/** The process of a CNI call: what `client.ts` answers is written, and gives the exit code. */

import { VERSION } from '../lib/version.ts'
import { banner, callDaemon } from './client.ts'
import type { CniReply } from './exchange.ts'

/** Answers a runtime's call. */
export async function runPlugin(): Promise<number> {
  return await write(await callDaemon({ environment: process.env, stdin: Bun.stdin.stream() }))
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
