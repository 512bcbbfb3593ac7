/**
 * Where the plug-in's process asks, on the socket of the REST API but beside it: one request is one call, without
 * routes, schemas and all that costs time. It stays while what stands behind it is built again: calls wait for that a
 * while, but STATUS, which is told at once, and DEL, which the process keeps for later.
 */

import { CNI_PATH, type CniReply, type CniRequest, STDIN_BYTES } from '../../cni/exchange.ts'
import { Presence } from '../../lib/presence.ts'
import type { CniApi } from './api.ts'
import { CNI_CODE, cniError, failureOf } from './errors.ts'
import { FRAMED, readFramed, writeFramed } from './framing.ts'
import { versionForFailure } from './versions.ts'

/** Longer than parts take to start by themselves; shorter than the process waits for an ADD or a CHECK. */
const PATIENCE_MS = 4_000
/** Standard input as JSON text, where every character may be six. */
const BODY_BYTES = 6 * STDIN_BYTES + 64 * 1024

export class CniDoor {
  readonly path = CNI_PATH
  readonly #presence = new Presence<CniApi>()

  /** Lets calls in until disposed. */
  serve(api: CniApi): Disposable {
    return this.#presence.enter(api)
  }

  async fetch(request: Request): Promise<Response> {
    // A page in a browser could not mean well.
    if (request.method !== 'POST' || request.headers.has('origin')) return refusal(405)
    if (Number(request.headers.get('content-length') ?? 0) > BODY_BYTES) return refusal(413)
    const framed = request.headers.get('content-type') === FRAMED
    const call = framed
      ? readFramed(new Uint8Array(await request.arrayBuffer()))
      : readRequest(await request.text())
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

function refusal(status: number): Response {
  return new Response(null, { status })
}
