/**
 * One call of a runtime, from its variables and standard input to what is written: both are handed to the daemon's
 * socket as they are, and its answer is passed on. Whatever happens, it ends within the verb's deadline, with one
 * JSON object at most. Only what stands beside this file is loaded.
 */

import { isNetworkError } from '../lib/errors.ts'
import { type Absence, AWAY_CODE, failWith, replyWhenAway } from './away.ts'
import {
  CNI_PATH,
  CNI_VERSIONS,
  type CniReply,
  type CniRequest,
  DEADLINES_MS,
  DEFAULT_SOCKET,
  FOUND_VARIABLE,
  STDIN_BYTES,
  versionsText,
} from './exchange.ts'
import { type Answer, readAnswer, writePost } from './http.ts'
import { Deadline, Inflow, Stream } from './libc.ts'

export interface CniCall {
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Descriptor of standard input. */
  readonly stdin: number
  /** By verb; absent: what fits the specification's runtimes. */
  readonly deadlinesMs?: Readonly<Record<string, number>>
}

const OTHER_DEADLINE_MS = 5_000
const SPOOL = '/var/lib/carrick/cni-spool'

const START_IT = 'systemctl start carrick   # or, by hand: carrick daemon'
const LOOK_AT_IT = 'its log has more: journalctl -u carrick'
const BROKEN_OFF: Absence = { found: 'it broke off', cure: LOOK_AT_IT }

/** More is no answer of the daemon. */
const ANSWER_BYTES = 16 * 1024 * 1024

/** Never rejects. */
export async function callDaemon(call: CniCall): Promise<CniReply> {
  const environment = cniVariables(call.environment)
  const command = environment['CNI_COMMAND'] ?? ''
  if (command === 'VERSION') return { stdout: `${versionsText()}\n`, exit: 0 }
  const deadlineMs = (call.deadlinesMs ?? DEADLINES_MS)[command] ?? OTHER_DEADLINE_MS
  const deadline = new Deadline(deadlineMs)
  const stdin = readStdin(call.stdin, deadline)
  if (typeof stdin !== 'string') return stdin
  const request: CniRequest = { version: 1, environment, stdin }
  const config = configIn(stdin)
  const socket = socketIn(config)
  const found = foundBefore(call.environment[FOUND_VARIABLE], deadline)
  const answer = found ?? ask({ socket, path: CNI_PATH }, request, deadline)
  if ('exit' in answer) return answer
  if (command === 'DEL' && (await isSpooled(socket, request, config)))
    return { stdout: '', exit: 0 }
  return replyWhenAway(command, socket, answer, config['cniVersion'])
}

/** What is told of the plug-in when nobody asks for anything; Nomad takes the first version it sees. */
export function banner(name: string, version: string): CniReply {
  const stderr = `CNI ${name} plugin v${version}\nCNI protocol versions supported: ${CNI_VERSIONS.join(', ')}\n`
  return { stdout: '', stderr, exit: 0 }
}

function cniVariables(all: CniCall['environment']): Readonly<Record<string, string>> {
  const own: Record<string, string> = {}
  for (const name in all) {
    const value = all[name]
    if (value !== undefined && name.startsWith('CNI_')) own[name] = value
  }
  return own
}

/** All of it as text, or why there is none. */
export function readStdin(fd: number, deadline: Deadline): string | CniReply {
  const inflow = new Inflow()
  try {
    while (inflow.read(fd, deadline)) {
      if (inflow.bytes.length > STDIN_BYTES) {
        return unreadable(AWAY_CODE.DECODING, `it has more than ${STDIN_BYTES} bytes`)
      }
    }
  } catch (error) {
    if (!isNetworkError(error)) throw error
    const found = error.code === 'timeout' ? `no end within ${deadline.seconds} s` : error.message
    return unreadable(AWAY_CODE.IO, found)
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(inflow.bytes)
  } catch {
    return unreadable(AWAY_CODE.DECODING, 'it is not UTF-8')
  }
}

function unreadable(code: 5 | 6, found: string): CniReply {
  const msg = `Cannot read the network configuration on standard input: ${found}`
  return failWith(code, msg, 'a CNI runtime writes it there; see its log')
}

/** The object on standard input, as far as it is one: the daemon tells what is wrong with it. */
export function configIn(stdin: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(stdin)
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}

function socketIn(config: Readonly<Record<string, unknown>>): string {
  const path = config['daemonSocket']
  return typeof path === 'string' && path !== '' ? path : DEFAULT_SOCKET
}

/** The daemon's answer, or why there was none. */
export function ask(
  { socket, path }: { readonly socket: string; readonly path: string },
  request: object,
  deadline: Deadline,
): CniReply | Absence {
  try {
    using stream = new Stream()
    stream.connect(socket, deadline)
    stream.send(writePost(path, JSON.stringify(request)), deadline)
    const answer = receiveAnswer(stream, deadline)
    const reply = answer?.status === 200 ? replyIn(answer.body) : undefined
    if (reply !== undefined) return reply
    return answer === undefined
      ? BROKEN_OFF
      : {
          found: `it answers with status ${answer.status}, which makes no sense here`,
          cure: `let it be of this program's version: systemctl restart carrick; ${LOOK_AT_IT}`,
        }
  } catch (error) {
    if (!isNetworkError(error)) throw error
    if (error.code === 'timeout') return silent(deadline)
    return absenceOf(error.details['errno'])
  }
}

/** What `client.c` has waited for in vain, in this process. */
function foundBefore(found: string | undefined, deadline: Deadline): Absence | undefined {
  if (found === 'late') return silent(deadline)
  return found === 'broken' ? BROKEN_OFF : undefined
}

function silent({ seconds }: Deadline): Absence {
  return { found: `no answer within ${seconds} s`, cure: LOOK_AT_IT }
}

/** Undefined when it ends too early, or makes no sense. */
function receiveAnswer(stream: Stream, deadline: Deadline): Answer | undefined {
  const inflow = new Inflow()
  while (stream.receive(inflow, deadline) && inflow.bytes.length <= ANSWER_BYTES) {
    const answer = readAnswer(inflow.bytes)
    if (answer !== 'more') return answer
  }
  return undefined
}

function absenceOf(errno: unknown): Absence {
  switch (errno) {
    case 'EACCES':
    case 'EPERM':
      return { found: 'permission denied', cure: 'the runtime must run as root' }
    case 'ECONNRESET':
    case 'EPIPE':
      return BROKEN_OFF
    default:
      return { found: 'nobody answers', cure: START_IT }
  }
}

/** Undefined for what is no answer of the daemon. */
function replyIn(text: string): CniReply | undefined {
  try {
    const { stdout, stderr, exit } = JSON.parse(text) as Readonly<Record<string, unknown>>
    if (typeof stdout !== 'string' || typeof exit !== 'number') return undefined
    return { stdout, exit, ...(typeof stderr === 'string' ? { stderr } : {}) }
  } catch {
    return undefined
  }
}

/** True when the daemon will hear of it. */
async function isSpooled(
  socket: string,
  request: CniRequest,
  config: Readonly<Record<string, unknown>>,
): Promise<boolean> {
  const { attachmentIn, spoolDelete } = await import('./spool.ts')
  const attachment = attachmentIn(request, config)
  if (attachment === undefined) return false
  try {
    spoolDelete(spoolOf(socket), request, attachment, new Date())
    return true
  } catch {
    return false // the caller is told to try again
  }
}

/** The daemon's state is shifted together with its socket (`--root`). */
export function spoolOf(socket: string): string {
  return socket.endsWith(DEFAULT_SOCKET) ? socket.slice(0, -DEFAULT_SOCKET.length) + SPOOL : SPOOL
}
