/**
 * The REST API on a unix socket. A socket file left by a daemon that died is replaced; one on which
 * somebody answers is not. Bun's own server is used instead of node:http: it answers in 0.12 ms where
 * node:http takes 0.14 with a tail ten times as long (Bun 1.4.5), and every attach pays for it.
 */

import { chmodSync, chownSync, readFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { NetworkError } from '../../lib/errors.ts'
import { clearSocketPath, socketFile } from '../socket-file.ts'
import type { RestApi } from './api.ts'
import { serveOnDescriptor } from './node-http.ts'

export interface ServeOptions {
  readonly api: RestApi
  readonly path: string
  /** A descriptor that listens there already; the file then is another's, and stays. */
  readonly inherited?: number
  /** Default 0660. */
  readonly mode?: number
  /** Group that may use the socket, if the machine has it: whoever is in it owns the machine's networks. */
  readonly group?: string
}

export interface RestServer extends AsyncDisposable {
  readonly path: string
}

/**
 * A connection on which nothing moves for this long is cut: Bun's largest. Bun's default of 10 s would cut
 * requests that wait, and `server.timeout(request)` does nothing on unix sockets (1.4.5), so the API's
 * longest wait lies below this and event streams have a heartbeat.
 */
const IDLE_SECONDS = 255
const GRACE_MS = 1000

/**
 * Answers on the socket until disposed; disposing lets requests under way finish within a second and
 * removes the file. Throws `conflict` when somebody answers there, `invalid` when the path cannot be a
 * socket, `forbidden` without permission.
 */
export async function serveRest(options: ServeOptions): Promise<RestServer> {
  const { api, path, inherited } = options
  if (inherited !== undefined) {
    const server = await serveOnDescriptor(api, inherited)
    admit(options)
    return { path, [Symbol.asyncDispose]: () => server.close(GRACE_MS) }
  }
  await clearSocketPath(path)
  const server = listen(api, path)
  admit(options)
  const file = socketFile(path)

  return {
    path,
    async [Symbol.asyncDispose]() {
      const ours = file.isThere()
      await Promise.race([server.stop(), passed(GRACE_MS)])
      await server.stop(true)
      if (ours) file.remove()
    },
  }
}

/** Lets the group in. */
function admit({ path, group, mode = 0o660 }: ServeOptions): void {
  const id = group === undefined ? undefined : groupId(group)
  if (id !== undefined) chownSync(path, 0, id)
  chmodSync(path, mode)
}

function listen(api: RestApi, path: string): Bun.Server<undefined> {
  const mask = process.umask(0o177) // nobody else connects before the mode is set
  try {
    const options = { unix: path, idleTimeout: IDLE_SECONDS, fetch: api.fetch }
    // The types allow idleTimeout with a port only; the server heeds it on both.
    return Bun.serve(options as Omit<typeof options, 'idleTimeout'>)
  } catch (cause) {
    throw new NetworkError('unavailable', `Cannot listen on ${path}: ${String(cause)}`, { cause })
  } finally {
    process.umask(mask)
  }
}

async function passed(durationMs: number): Promise<void> {
  await setTimeout(durationMs, undefined, { ref: false })
}

/** Number of the group, from group(5); undefined when the machine has none of that name. */
function groupId(name: string): number | undefined {
  const line = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${name}:`))
  return line === undefined ? undefined : Number(line.split(':')[2])
}
