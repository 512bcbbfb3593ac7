/**
 * The members of the cluster and which of them to ask. A call goes to the current member; when that one
 * cannot be reached, has no leader, or (for reads) does not answer, the next is asked, until the deadline.
 * A write that was sent and not answered is not sent again: nobody knows whether it happened.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import {
  type CallOptions,
  type Client,
  Code,
  ConnectError,
  createClient,
} from '@connectrpc/connect'
import { createGrpcTransport } from '@connectrpc/connect-node'
import { isNetworkError, messageOf, NetworkError } from '../../lib/errors.ts'
import type { TlsMaterial } from '../../pki/files.ts'
import { type REFUSALS, reasonOfText, refusal } from '../reasons.ts'
import { KV, Lease, Watch } from './gen/etcdserverpb/rpc_pb.js'
import { Session } from './session.ts'

const FIRST_PAUSE_MS = 50
const MAX_PAUSE_MS = 800
/** Makes a member refuse, or end a stream, when it has lost its leader. etcd rpctypes.MetadataHasLeader */
export const REQUIRE_LEADER = { hasleader: 'true' } as const

export interface Member {
  readonly url: string
  readonly session: Session
  readonly kv: Client<typeof KV>
  readonly lease: Client<typeof Lease>
  readonly watch: Client<typeof Watch>
}

type Call<T> = (member: Member, options: CallOptions) => Promise<T>

export interface ConnectionOptions {
  readonly endpoints: readonly string[]
  readonly tls: TlsMaterial | undefined
  readonly timeoutMs: number
  readonly pingIntervalMs: number
}

export class Connection {
  readonly #options: ConnectionOptions
  readonly #timeoutMs: number
  #members: readonly Member[]
  #current = 0
  #closed = false

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#members = options.endpoints.map((url) => memberAt(url, options))
    this.#timeoutMs = options.timeoutMs
  }

  /**
   * Asks these members from now on, by new connections: the present ones may lead to where a member was, or
   * from where this host was.
   */
  moveTo(endpoints: readonly string[]): void {
    const before = this.#members
    this.#members = endpoints.map((url) => memberAt(url, this.#options))
    this.#current = 0
    for (const { session } of before) session.close()
  }

  /** Asks something that may be asked twice. */
  read<T>(call: Call<T>): Promise<T> {
    return this.#attempt(call, true)
  }

  /** Asks for a change, at most once. */
  write<T>(call: Call<T>): Promise<T> {
    return this.#attempt(call, false)
  }

  /** A member that is connected, for a stream; the caller reports with `distrust` when it fails. */
  async member(): Promise<Member> {
    const deadlineMs = performance.now() + this.#timeoutMs
    for (let tries = 0; ; tries++) {
      const member = this.#pick()
      const problem = await connect(member)
      if (problem === undefined) return member
      this.distrust(member)
      await this.#pause(tries, deadlineMs, problem)
    }
  }

  /** The next call goes to another member, if there is one. */
  distrust(member: Member): void {
    if (this.#pick() === member) this.#current = (this.#current + 1) % this.#members.length
  }

  close(): void {
    this.#closed = true
    for (const { session } of this.#members) session.close()
  }

  async #attempt<T>(call: Call<T>, repeatable: boolean): Promise<T> {
    const deadlineMs = performance.now() + this.#timeoutMs
    for (let tries = 0; ; tries++) {
      const member = this.#pick()
      let problem = await connect(member)
      if (problem === undefined) {
        const left = Math.max(1, Math.ceil(deadlineMs - performance.now()))
        const timeoutMs = repeatable ? Math.max(Math.min(1000, left), Math.ceil(left / 2)) : left
        try {
          return await call(member, { timeoutMs, headers: REQUIRE_LEADER })
        } catch (error) {
          if (ConnectError.from(error).code === Code.DeadlineExceeded) member.session.verify()
          problem = storeError(error, member.url)
          if (!isNetworkError(problem, 'unavailable')) throw problem
          if (!repeatable && !surelyRefused(problem)) {
            this.distrust(member)
            throw problem
          }
        }
      }
      this.distrust(member)
      await this.#pause(tries, deadlineMs, problem)
    }
  }

  #pick(): Member {
    if (this.#closed) throw closedError()
    const member = this.#members[this.#current]
    if (member === undefined)
      throw new NetworkError('invalid', 'Cannot use a store without address')
    return member
  }

  /** Waits before the next try, after each round longer; throws `problem` when time is up. */
  async #pause(tries: number, deadlineMs: number, problem: NetworkError): Promise<void> {
    const round = Math.floor((tries + 1) / this.#members.length)
    const pauseMs = round === 0 ? 0 : Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (round - 1))
    if (performance.now() + pauseMs >= deadlineMs) throw problem
    if (pauseMs > 0) await sleep(pauseMs)
  }
}

/** Any error of a call in our words. */
export function storeError(error: unknown, url: string): NetworkError {
  if (error instanceof NetworkError) return error
  const { rawMessage, code } = ConnectError.from(error)
  const reason = reasonOfText(rawMessage)
  const options = { details: { store: url }, cause: error }
  if (reason !== undefined) {
    return refusal(reason, `The store at ${url} refused: ${rawMessage}`, options)
  }
  const text = `Cannot use the store at ${url}: ${rawMessage}`
  switch (code) {
    case Code.PermissionDenied:
      return new NetworkError('forbidden', text, options)
    case Code.Unauthenticated:
      return new NetworkError('unauthenticated', text, options)
    case Code.Unimplemented:
      return new NetworkError('unsupported', text, options)
    case Code.InvalidArgument:
    case Code.OutOfRange:
    case Code.FailedPrecondition:
      return new NetworkError('invalid', text, options)
    default:
      return new NetworkError('unavailable', text, options)
  }
}

function memberAt(url: string, options: ConnectionOptions): Member {
  const session = new Session(url, options.tls, options.pingIntervalMs)
  const transport = createGrpcTransport({
    baseUrl: url,
    sessionManager: session,
    acceptCompression: [],
  })
  return {
    url,
    session,
    kv: createClient(KV, transport),
    lease: createClient(Lease, transport),
    watch: createClient(Watch, transport),
  }
}

/** Connects; the problem, if it could not be done. */
async function connect(member: Member): Promise<NetworkError | undefined> {
  try {
    await member.session.connect()
    return undefined
  } catch (error) {
    const text = `Cannot reach the store at ${member.url}: ${messageOf(error)}`
    return new NetworkError('unavailable', text, { details: { store: member.url }, cause: error })
  }
}

/** The member answered, before it did anything, that it cannot. */
function surelyRefused(problem: NetworkError): boolean {
  return problem.details['reason'] === ('no-leader' satisfies keyof typeof REFUSALS)
}

function closedError(): NetworkError {
  return new NetworkError('unavailable', 'Cannot use the store: it was closed')
}
