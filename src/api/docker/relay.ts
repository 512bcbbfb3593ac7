/**
 * The plug-in as engines manage one themselves: a process in a container of theirs, which hands every call on to the
 * daemon's socket. It keeps nothing, so it may come and go with the engine. What an engine asks first it answers by
 * itself: an engine that is starting gets its answer though the daemon is not there yet.
 */

import { request } from 'node:http'
import type { Clock } from '../../lib/clock.ts'
import { messageOf, NetworkError } from '../../lib/errors.ts'
import { createExcuses, introductions } from './api.ts'
import type { PluginApi } from './http.ts'

/** Networks of this plug-in are swarm's: no other kind of plug-in may have those. */
const SCOPE = 'global'
/** A daemon that starts again is back within this. Engines give a managed plug-in 30 s, swarm an attachment 20. */
const PATIENCE_MS = 8_000
const RETRY_MS = 200
/** The daemon answers within 15 s, and tells why it cannot. */
const ANSWER_MS = 16_000
/** Such a pause is too short to be broken off. */
const NEVER = new AbortController().signal

/** `socketPath`: where the daemon answers engines, as this process sees it. */
export function createRelay(socketPath: string, clock: Clock): PluginApi {
  const own = introductions(SCOPE)
  return {
    async call(method, body) {
      const known = own[method]
      if (known !== undefined && Object.hasOwn(own, method)) return known
      for (const deadline = clock.monotonicMs() + PATIENCE_MS; ; ) {
        try {
          return await ask(socketPath, method, body)
        } catch (cause) {
          // Whatever was lost on the way may be asked again: every method is made for that.
          if (clock.monotonicMs() < deadline) await clock.sleep(RETRY_MS, NEVER)
          else return excuse(method, body, cause)
        }
      }
    },
  }
}

async function excuse(method: string, body: Uint8Array, cause: unknown): Promise<object> {
  const text = `Cannot reach the daemon of this host: ${messageOf(cause)}`
  const error = new NetworkError('unavailable', text, { hint: 'systemctl start carrick', cause })
  return (await createExcuses(SCOPE, error).call(method, body)) ?? {}
}

/** One connection per call: one that is kept may have been closed at the other end. */
function ask(socketPath: string, method: string, body: Uint8Array): Promise<object> {
  return new Promise((resolve, reject) => {
    const headers = { host: 'carrick', connection: 'close', 'content-length': body.byteLength }
    const where = { socketPath, agent: false, path: `/${method}`, method: 'POST', headers }
    const call = request(where, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('error', reject)
      response.on('end', () => {
        try {
          resolve(JSON.parse(Buffer.concat(parts).toString()) as object) // the daemon's own
        } catch (error) {
          reject(error)
        }
      })
    })
    call.setTimeout(ANSWER_MS, () => call.destroy(new Error('it does not answer')))
    call.on('error', reject)
    call.end(body)
  })
}
