/**
 * One call of netavark or Podman, from its arguments and standard input to what is written. As for CNI, all is handed
 * to the daemon; `info` needs none. Loaded by the short-lived process: nothing but the runtime's own functions.
 */

import { ask, configIn, readStdin, spoolOf } from './client.ts'
import { type CniReply, type CniRequest, DEFAULT_SOCKET } from './exchange.ts'
import { Deadline } from './libc.ts'
import { NETAVARK_PATH, type NetavarkRequest, netavarkNetwork } from './netavark-exchange.ts'

export interface NetavarkCall {
  /** A verb, and the path of a namespace for `setup` and `teardown`. */
  readonly args: readonly string[]
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Descriptor of standard input. */
  readonly stdin: number
  /** Of this program. */
  readonly version: string
  /** By verb; absent: what users wait for. */
  readonly deadlinesMs?: Readonly<Record<string, number>>
}

/** Of the plug-in interface that is spoken. netavark, plugin-API.md */
const API_VERSION = '1.0.0'
/** Neither netavark nor Podman ever gives up. */
const DEADLINES_MS: Readonly<Record<string, number>> = {
  create: 15_000,
  setup: 10_000,
  teardown: 5_000,
}
const OTHER_DEADLINE_MS = 5_000

/** Never rejects. */
export async function callNetavark(call: NetavarkCall): Promise<CniReply> {
  const [verb = '', netns] = call.args
  if (verb === 'info') {
    const info = { version: call.version, api_version: API_VERSION }
    return { stdout: `${JSON.stringify(info)}\n`, exit: 0 }
  }
  const deadlineMs = (call.deadlinesMs ?? DEADLINES_MS)[verb] ?? OTHER_DEADLINE_MS
  const deadline = new Deadline(deadlineMs)
  const stdin = readStdin(call.stdin, deadline)
  if (typeof stdin !== 'string') return failWith(wordsOf(stdin))
  const socket = call.environment['CARRICK_SOCKET'] || DEFAULT_SOCKET
  const request: NetavarkRequest = {
    ...{ version: 1, verb, stdin },
    ...(netns === undefined ? {} : { netns }),
  }
  const answer = ask({ socket, path: NETAVARK_PATH }, request, deadline)
  if ('exit' in answer) return answer
  if (verb === 'teardown' && (await isSpooled(socket, stdin))) return { stdout: '', exit: 0 }
  const { found, cure } = answer
  return failWith(`Cannot do ${verb} without the daemon at ${socket}: ${found}; ${cure}`)
}

/** Podman refuses an error with any other key. */
function failWith(error: string): CniReply {
  return { stdout: `${JSON.stringify({ error })}\n`, exit: 1 }
}

/** What a CNI runtime would be told. */
function wordsOf({ stdout }: CniReply): string {
  const { msg } = JSON.parse(stdout) as { msg: string } // made by `readStdin`
  return msg
}

/** A teardown for which there is no daemon waits for it as a DEL does: both name the same attachment. */
async function isSpooled(socket: string, stdin: string): Promise<boolean> {
  const { container_id: container, network, network_options: own } = configIn(stdin)
  const name = textIn(network, 'name')
  const ifname = textIn(own, 'interface_name')
  if (name === undefined || ifname === undefined || typeof container !== 'string') return false
  const cniName = netavarkNetwork(name)
  const request: CniRequest = {
    version: 1,
    environment: { CNI_COMMAND: 'DEL', CNI_CONTAINERID: container, CNI_IFNAME: ifname },
    stdin: JSON.stringify({ cniVersion: '1.0.0', name: cniName, type: 'carrick' }),
  }
  try {
    const { spoolDelete } = await import('./spool.ts')
    spoolDelete(spoolOf(socket), request, [cniName, container, ifname], new Date())
    return true
  } catch {
    return false // Podman is told
  }
}

function textIn(object: unknown, key: string): string | undefined {
  if (typeof object !== 'object' || object === null) return undefined
  const value = (object as Readonly<Record<string, unknown>>)[key]
  return typeof value === 'string' && value !== '' ? value : undefined
}
