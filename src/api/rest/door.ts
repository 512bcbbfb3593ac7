/**
 * The socket of the REST API, which stays while what stands behind it is built again: requests that come in
 * between wait for the new parts.
 */

import type { RestApi } from './api.ts'
import { type RestServer, serveRest } from './serve.ts'

export class RestDoor implements AsyncDisposable {
  #api = Promise.withResolvers<RestApi>()
  #server: RestServer | undefined

  /** Opens the socket; nothing is answered before `serve`. Throws as serveRest() does. */
  static async open(options: { readonly path: string; readonly group: string }): Promise<RestDoor> {
    const door = new RestDoor()
    door.#server = await serveRest({
      path: options.path,
      group: options.group,
      api: { fetch: async (request) => (await door.#api.promise).fetch(request) },
    })
    return door
  }

  /** Lets requests in until disposed. */
  serve(api: RestApi): AsyncDisposable {
    this.#api.resolve(api)
    return {
      [Symbol.asyncDispose]: async () => this.hold(),
    }
  }

  /** Lets new requests wait for the next `serve`. */
  hold(): void {
    this.#api = Promise.withResolvers<RestApi>()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]()
  }
}
