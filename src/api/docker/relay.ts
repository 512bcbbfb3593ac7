/**
 * The plug-in as engines manage one themselves: a process in a container of theirs, which hands every call on to the
 * daemon's socket. It keeps nothing, so it may come and go with the engine. What an engine asks first it answers by
 * itself: an engine that is starting gets its answer though the daemon is not there yet.
 */

import { Agent, request } from 'node:http'
import { messageOf, NetworkError } from '../../lib/errors.ts'
import { createExcuses, introductions } from './api.ts'
import type { PluginApi } from './http.ts'

/** Engines give a managed plug-in 30 s; the daemon answers within 15. */
const ANSWER_MS = 25_000
/** Idle connections to the daemon. */
const MOST_IDLE = 8

/** Networks of this plug-in are swarm's: no other kind of plug-in may have those. */
const SCOPE = 'global'

/** `socketPath`: where the daemon answers engines, as this process sees it. */
export function createRelay(socketPath: string): PluginApi & Disposable {
  const agent = new Agent({ keepAlive: true, maxFreeSockets: MOST_IDLE })
  const own = introductions(SCOPE)
  return {
    async call(method, body) {
      const known = own[method]
      if (known !== undefined && Object.hasOwn(own, method)) return known
      try {
        return await ask({ socketPath, agent }, method, body)
      } catch (cause) {
        const text = `Cannot reach the daemon of this host: ${messageOf(cause)}`
        const hint = 'systemctl start carrick'
        const error = new NetworkError('unavailable', text, { hint, cause })
        return (await createExcuses(SCOPE, error).call(method, body)) ?? {}
      }
    },
    [Symbol.dispose]: () => agent.destroy(),
  }
}

function ask(
  where: { readonly socketPath: string; readonly agent: Agent },
  method: string,
  body: Uint8Array,
): Promise<object> {
  return new Promise((resolve, reject) => {
    const path = `/${method}`
    const headers = { host: 'carrick', 'content-length': body.byteLength }
    const call = request({ ...where, path, method: 'POST', headers }, (response) => {
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
