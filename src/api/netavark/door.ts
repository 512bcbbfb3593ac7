/**
 * Where netavark's plug-in asks, on the socket of the REST API but beside it, as CNI does. It stays while what stands
 * behind it is built again: calls wait for that a while, but teardowns, which the process keeps for later.
 */

import type { CniReply } from '../../cni/exchange.ts'
import { NETAVARK_PATH, type NetavarkRequest } from '../../cni/netavark-exchange.ts'
import { Presence } from '../../lib/presence.ts'
import { bodyOf, PATIENCE_MS, refusal } from '../plugin-body.ts'
import { answerNetavark, type NetavarkDeps } from './netavark.ts'

export class NetavarkDoor {
  readonly path = NETAVARK_PATH
  readonly #presence = new Presence<NetavarkDeps>()

  /** Lets calls in until disposed. */
  serve(deps: NetavarkDeps): Disposable {
    return this.#presence.enter(deps)
  }

  async fetch(request: Request): Promise<Response> {
    const bytes = await bodyOf(request)
    if (bytes instanceof Response) return bytes
    const call = readRequest(new TextDecoder().decode(bytes))
    if (call === undefined) return refusal(400)
    const isTeardown = call.verb === 'teardown'
    const deps = isTeardown ? this.#presence.part : await this.#presence.within(PATIENCE_MS)
    if (deps !== undefined) return Response.json(await answerNetavark(deps, call, request.signal))
    // Not an answer to it: the process keeps it where the daemon finds it.
    return isTeardown ? refusal(503) : Response.json(notYet(call))
  }
}

/** Undefined for what no plug-in of ours sends. */
function readRequest(text: string): NetavarkRequest | undefined {
  try {
    const { version, verb, stdin, netns } = JSON.parse(text) as Readonly<Record<string, unknown>>
    if (version !== 1 || typeof verb !== 'string' || typeof stdin !== 'string') return undefined
    if (netns !== undefined && typeof netns !== 'string') return undefined
    return { version, verb, stdin, ...(netns === undefined ? {} : { netns }) }
  } catch {
    return undefined // what is no JSON object at all is none either
  }
}

function notYet({ verb }: NetavarkRequest): CniReply {
  const error = `Cannot do ${verb} yet: the daemon is starting; journalctl -u carrick says what it waits for`
  return { stdout: `${JSON.stringify({ error })}\n`, exit: 1 }
}
