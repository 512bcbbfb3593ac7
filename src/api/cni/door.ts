/**
 * Where the plug-in's process asks, on the socket of the REST API but beside it: one request is one call, without
 * routes, schemas and all that costs time. It stays while what stands behind it is built again: calls wait for that a
 * while, but STATUS, which is told at once, and DEL, which the process keeps for later.
 */

import { CNI_PATH, type CniReply, type CniRequest } from '../../cni/exchange.ts'
import { Presence } from '../../lib/presence.ts'
import { bodyOf, PATIENCE_MS, refusal } from '../plugin-body.ts'
import type { CniApi } from './api.ts'
import { CNI_CODE, cniError, failureOf } from './errors.ts'
import { FRAMED, readFramed, writeFramed } from './framing.ts'
import { versionForFailure } from './versions.ts'

export class CniDoor {
  readonly path = CNI_PATH
  readonly #presence = new Presence<CniApi>()

  /** Lets calls in until disposed. */
  serve(api: CniApi): Disposable {
    return this.#presence.enter(api)
  }

  async fetch(request: Request): Promise<Response> {
    const bytes = await bodyOf(request)
    if (bytes instanceof Response) return bytes
    const framed = request.headers.get('content-type') === FRAMED
    const call = framed ? readFramed(bytes) : readRequest(new TextDecoder().decode(bytes))
    if (call === undefined) return refusal(400)
    const write = framed ? writeFramed : (reply: CniReply) => Response.json(reply)
    const verb = call.environment['CNI_COMMAND'] ?? ''
    const waits = verb !== 'STATUS' && verb !== 'DEL'
    const api = waits ? await this.#presence.within(PATIENCE_MS) : this.#presence.part
    if (api !== undefined) return write(await api.answer(call, request.signal))
    // Not an answer to it: the process keeps it where the daemon finds it.
    return verb === 'DEL' ? refusal(503) : write(notYet(call, verb))
  }
}

/** Undefined for what no plug-in of ours sends. */
function readRequest(text: string): CniRequest | undefined {
  try {
    const { version, environment, stdin } = JSON.parse(text) as Readonly<Record<string, unknown>>
    if (version !== 1 || typeof stdin !== 'string') return undefined
    if (typeof environment !== 'object' || environment === null) return undefined
    const variables = Object.entries(environment)
    if (!variables.every(([, value]) => typeof value === 'string')) return undefined
    return { version, environment: Object.fromEntries(variables), stdin }
  } catch {
    return undefined // what is no JSON object at all is none either
  }
}

function notYet({ stdin }: CniRequest, verb: string): CniReply {
  const error = cniError(
    verb === 'STATUS' ? CNI_CODE.NOT_READY : CNI_CODE.TRY_AGAIN,
    `Cannot do ${verb} yet: the daemon is starting`,
    { hint: 'journalctl -u carrick   # what it waits for' },
  )
  return { stdout: JSON.stringify(failureOf(error, verb, versionForFailure(stdin))), exit: 1 }
}
