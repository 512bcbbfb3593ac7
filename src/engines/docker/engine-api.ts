/**
 * The API of the container engine of this host, as far as it is needed here, over its unix socket. Every question
 * has a deadline, because an engine that starts, or whose containers do, answers nobody for as long as it likes.
 */

import { existsSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { createInterface } from 'node:readline'
import { messageOf, NetworkError } from '../../lib/errors.ts'
import {
  type ContainerDetails,
  type ContainerSummary,
  type EngineEvent,
  type InspectedNetwork,
  type ListedNetwork,
  readContainerDetails,
  readContainers,
  readEvent,
  readInspectedNetwork,
  readNetworks,
  readVersion,
} from './engine-shapes.ts'

/** The newest version of the API whose answers are known here. */
const KNOWN_API = [1, 44] as const
const ASK_MS = 3_000
/** An engine asks drivers while it makes or removes a network, and waits for them. */
const CHANGE_MS = 30_000

/** What an engine is told of a network that it shall have; field names are the engine's. */
export interface NetworkOrder {
  readonly Name: string
  readonly CheckDuplicate: true
  readonly Driver: string
  readonly Internal: boolean
  readonly EnableIPv6: boolean
  readonly IPAM: {
    readonly Driver: string
    readonly Config: readonly {
      readonly Subnet: string
      readonly Gateway?: string
      readonly IPRange?: string
      readonly AuxiliaryAddresses?: Readonly<Record<string, string>>
    }[]
  }
  readonly Options: Readonly<Record<string, string>>
  readonly Labels: Readonly<Record<string, string>>
}

export interface EngineVersion {
  /** The engine's, as it says. */
  readonly engine: string
  /** Of the API, as spoken here: `1.41`. */
  readonly api: string
}

/**
 * Errors are NetworkErrors: `unavailable` when nobody listens or the connection breaks, `timeout` when nobody
 * answers in time, `not-found`, `already-exists` (a name), `conflict` (in use), else `unsupported`.
 */
export class EngineApi {
  readonly #socketPath: string
  readonly #closing: AbortSignal
  #version: EngineVersion | undefined

  /** `closing` ends every question. */
  constructor(socketPath: string, closing: AbortSignal) {
    this.#socketPath = socketPath
    this.#closing = closing
  }

  /** Agrees on a version; to be called first, and again whenever the engine was away. */
  async connect(): Promise<EngineVersion> {
    // Where no engine is, this is asked every few seconds: a look costs less than a question.
    if (!existsSync(this.#socketPath)) {
      throw away(this.#socketPath, Object.assign(new Error('no such file'), { code: 'ENOENT' }))
    }
    const { engine, newest, oldest } = readVersion(await this.#ask('GET', '/version'))
    const api = chooseVersion(newest, oldest)
    this.#version = { engine, api }
    return this.#version
  }

  async networks(): Promise<readonly ListedNetwork[]> {
    return readNetworks(await this.#ask('GET', this.#path('/networks')))
  }

  async network(id: string): Promise<InspectedNetwork> {
    return readInspectedNetwork(await this.#ask('GET', this.#path(`/networks/${id}`)))
  }

  /** Answers while containers start; those named, or all, stopped ones too. */
  async containers(ids?: readonly string[]): Promise<readonly ContainerSummary[]> {
    const filters = ids === undefined ? '' : `&filters=${filter({ id: ids })}`
    return readContainers(await this.#ask('GET', this.#path(`/containers/json?all=1${filters}`)))
  }

  /** Waits for the end of the container's start: not for anybody whom that start waits for. */
  async container(id: string): Promise<ContainerDetails> {
    return readContainerDetails(await this.#ask('GET', this.#path(`/containers/${id}/json`)))
  }

  /** The engine's id of it. */
  async createNetwork(order: NetworkOrder): Promise<string> {
    const answer = await this.#ask('POST', this.#path('/networks/create'), order, CHANGE_MS)
    const id = isRecord(answer) ? answer['Id'] : undefined
    return typeof id === 'string' ? id : ''
  }

  /** Content when it is gone already. */
  async removeNetwork(id: string): Promise<void> {
    try {
      await this.#ask('DELETE', this.#path(`/networks/${id}`), undefined, CHANGE_MS)
    } catch (error) {
      if (!(error instanceof NetworkError) || error.code !== 'not-found') throw error
    }
  }

  /**
   * What happens to networks and containers from now on; resolves when the engine has begun to tell. Ends
   * with the connection, or when the signal aborts.
   */
  async events(signal: AbortSignal): Promise<AsyncIterable<EngineEvent>> {
    const path = this.#path(`/events?filters=${filter({ type: ['network', 'container'] })}`)
    const response = await this.#send('GET', path, undefined, ASK_MS, signal)
    if (response.statusCode !== 200) throw await refusal(response, 'GET', path)
    return eventsOf(response)
  }

  #path(path: string): string {
    if (this.#version === undefined) throw new Error('connect() comes before all questions')
    return `/v${this.#version.api}${path}`
  }

  async #ask(
    method: string,
    path: string,
    body?: object,
    timeoutMs: number = ASK_MS,
  ): Promise<unknown> {
    const over = AbortSignal.any([this.#closing, AbortSignal.timeout(timeoutMs)])
    const response = await this.#send(method, path, body, timeoutMs, over)
    const { statusCode = 0 } = response
    if (statusCode < 200 || statusCode > 299) throw await refusal(response, method, path)
    const text = await textOf(response)
    if (text === '') return undefined
    try {
      return JSON.parse(text)
    } catch (cause) {
      throw new NetworkError('unavailable', `Cannot read the engine’s answer to ${path}`, { cause })
    }
  }

  /** Resolves with the head of the answer. */
  #send(
    method: string,
    path: string,
    body: object | undefined,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const { socketPath, text } = { socketPath: this.#socketPath, text: JSON.stringify(body) }
    const headers = {
      host: 'docker',
      connection: 'close',
      ...(body === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
    }
    return new Promise((resolve, reject) => {
      const question = request({ socketPath, method, path, headers, signal, agent: false })
      const late = setTimeout(() => {
        reject(noAnswer(path, timeoutMs))
        question.destroy()
      }, timeoutMs)
      question.on('error', (error) => {
        clearTimeout(late)
        reject(signal.aborted ? noAnswer(path, timeoutMs) : away(socketPath, error))
      })
      question.on('response', (response) => {
        clearTimeout(late)
        resolve(response)
      })
      question.end(body === undefined ? undefined : text)
    })
  }
}

async function* eventsOf(response: IncomingMessage): AsyncGenerator<EngineEvent> {
  try {
    for await (const line of createInterface({ input: response, crlfDelay: Infinity })) {
      const event = readEvent(line)
      if (event !== undefined) yield event
    }
  } catch {
    // The connection broke: as if the engine had ended it.
  } finally {
    response.destroy()
  }
}

/** The newest version that both sides know; the engine's oldest when it knows none of ours. */
function chooseVersion(newest: string, oldest: string): string {
  const known = KNOWN_API.join('.')
  if (isBelow(newest, known)) return newest
  return isBelow(known, oldest) ? oldest : known
}

function isBelow(a: string, b: string): boolean {
  const [[a1 = 0, a2 = 0], [b1 = 0, b2 = 0]] = [a, b].map((text) =>
    text.split('.').map(Number),
  ) as [number[], number[]]
  return a1 < b1 || (a1 === b1 && a2 < b2)
}

function filter(wanted: Readonly<Record<string, readonly string[]>>): string {
  return encodeURIComponent(JSON.stringify(wanted))
}

/** Engine API: 403 "has active endpoints", 404, 409 "already exists"; everything else is the engine's trouble. */
async function refusal(
  response: IncomingMessage,
  method: string,
  path: string,
): Promise<NetworkError> {
  const { statusCode = 0 } = response
  const said = await textOf(response).catch(() => '')
  const code =
    statusCode === 404
      ? 'not-found'
      : statusCode === 409
        ? 'already-exists'
        : statusCode === 403
          ? 'conflict'
          : 'unsupported'
  return new NetworkError(code, `Cannot ${method} ${path}: the engine says ${saidIn(said)}`, {
    details: { status: statusCode },
  })
}

function saidIn(text: string): string {
  try {
    const answer: unknown = JSON.parse(text)
    if (isRecord(answer) && typeof answer['message'] === 'string') return answer['message']
  } catch {
    // Not JSON: as it is.
  }
  return text.slice(0, 200).trim()
}

async function textOf(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  try {
    for await (const part of response) parts.push(part)
  } catch (error) {
    throw new NetworkError('unavailable', `Cannot read the engine’s answer: ${messageOf(error)}`, {
      cause: error,
    })
  }
  return Buffer.concat(parts).toString('utf8')
}

function noAnswer(path: string, timeoutMs: number): NetworkError {
  return new NetworkError(
    'timeout',
    `Cannot ask the engine for ${path}: no answer within ${timeoutMs / 1000} s`,
  )
}

function away(socketPath: string, error: Error): NetworkError {
  const details = { errno: (error as NodeJS.ErrnoException).code ?? '' } // node:http's errors have one
  return new NetworkError(
    'unavailable',
    `Cannot reach the engine at ${socketPath}: ${error.message}`,
    {
      details,
      cause: error,
    },
  )
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
