/**
 * The socket of the REST API, which stays while what stands behind it is built again: requests that come in
 * between wait for the new parts, and are told so when that takes long.
 */

import { randomUUID } from 'node:crypto'
import { NetworkError } from '../../lib/errors.ts'
import type { RestApi } from './api.ts'
import { problemOf, problemResponse } from './problem.ts'
import { type RestServer, type ServeOptions, serveRest } from './serve.ts'

/** Longer than parts take to start by themselves; then they wait for something, which is the shared store. */
const PATIENCE_MS = 5_000

/** Others who answer on the socket, each at one path, also while there is no API. */
export interface Neighbour extends RestApi {
  readonly path: string
}

export interface DoorOptions extends Omit<ServeOptions, 'api'> {
  readonly neighbours?: readonly Neighbour[]
}

export class RestDoor implements AsyncDisposable {
  #api = Promise.withResolvers<RestApi>()
  /** What `#api` has resolved to: most requests wait for nothing. */
  #open: RestApi | undefined
  #server: RestServer | undefined

  /** Opens the socket; nothing is answered before `serve`. Throws as serveRest() does. */
  static async open({ neighbours = [], ...options }: DoorOptions): Promise<RestDoor> {
    const door = new RestDoor()
    door.#server = await serveRest({
      ...options,
      api: {
        fetch(request) {
          const neighbour = neighbours.find(({ path }) => request.url.endsWith(path))
          return neighbour === undefined ? door.#fetch(request) : neighbour.fetch(request)
        },
      },
    })
    return door
  }

  /** Lets requests in until disposed. */
  serve(api: RestApi): AsyncDisposable {
    this.#open = api
    this.#api.resolve(api)
    return {
      [Symbol.asyncDispose]: async () => this.hold(),
    }
  }

  /** Lets new requests wait for the next `serve`. */
  hold(): void {
    this.#open = undefined
    this.#api = Promise.withResolvers<RestApi>()
  }

  #fetch(request: Request): Promise<Response> {
    return this.#open?.fetch(request) ?? this.#wait(request)
  }

  async #wait(request: Request): Promise<Response> {
    const late = Promise.withResolvers<undefined>()
    const timer = setTimeout(() => late.resolve(undefined), PATIENCE_MS)
    try {
      const api = await Promise.race([this.#api.promise, late.promise])
      return api === undefined ? notYet(request) : await api.fetch(request)
    } finally {
      clearTimeout(timer)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]()
  }
}

function notYet(request: Request): Response {
  const error = new NetworkError(
    'unavailable',
    'Cannot answer yet: the daemon is starting and waits for the shared store',
    { hint: 'journalctl -u carrick   # what it waits for' },
  )
  const instance = new URL(request.url).pathname
  return problemResponse(problemOf(error, { instance, requestId: randomUUID(), ifMatch: false }))
}
