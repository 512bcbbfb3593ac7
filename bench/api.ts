/** The daemon's REST API over its unix socket, as far as the suites use it. */
import type { Endpoint } from '../src/api/rest/endpoint-schemas.ts'
import type { Network } from '../src/api/rest/network-schemas.ts'
import type { Status } from '../src/api/rest/schemas.ts'
import { Connections } from './call.ts'

export interface AttachRequest {
  readonly netns: string
  readonly name?: string
}

export class Api implements Disposable {
  readonly #connections: Connections

  constructor(socketPath: string) {
    this.#connections = new Connections(socketPath)
  }

  createNetwork(name: string, subnets: readonly string[], carrier: string): Promise<Network> {
    const body = { metadata: { name }, spec: { subnets, carrier } }
    return this.#call('POST', '/v1/networks?wait=settled', body) as Promise<Network>
  }

  /** Answers when the endpoint can be used. */
  attach(network: string, { netns, name }: AttachRequest): Promise<Endpoint> {
    const body = { ...(name === undefined ? {} : { metadata: { name } }), spec: { netns } }
    return this.#call('POST', `/v1/networks/${network}/endpoints`, body) as Promise<Endpoint>
  }

  /** Brings a TCP port of the host to an endpoint's; answers when it is open. */
  async publish(
    endpoint: string,
    port: { readonly hostPort: number; readonly containerPort: number },
  ): Promise<void> {
    await this.#call('POST', '/v1/publications', { spec: { endpoint, port } })
  }

  /** By id or name. */
  async detach(reference: string): Promise<void> {
    await this.#call('DELETE', `/v1/endpoints/${reference}`)
  }

  /** By id or name. */
  endpoint(reference: string): Promise<Endpoint> {
    return this.#call('GET', `/v1/endpoints/${reference}`) as Promise<Endpoint>
  }

  /** A token with which another host may join within ten minutes. */
  async createToken(): Promise<string> {
    const answer = await this.#call('POST', '/v1/tokens', { spec: { ttlSeconds: 600 } })
    return (answer as { readonly status: { readonly text: string } }).status.text
  }

  async join(address: string, token: string): Promise<void> {
    await this.#call('POST', '/v1/join', { spec: { address, token } })
  }

  status(): Promise<Status> {
    return this.#call('GET', '/v1/status') as Promise<Status>
  }

  /** The status once everything known is in the kernel. */
  settled(timeoutMs: number): Promise<Status> {
    return this.#call('GET', `/v1/status?wait=settled&timeoutMs=${timeoutMs}`) as Promise<Status>
  }

  /** Number of hosts this one knows. */
  async hosts(): Promise<number> {
    return ((await this.#call('GET', '/v1/hosts')) as { readonly items: readonly unknown[] }).items
      .length
  }

  [Symbol.dispose](): void {
    this.#connections[Symbol.dispose]()
  }

  /** The answer's document; its shape is the contract's, whose tests are elsewhere. */
  async #call(method: string, path: string, body?: unknown): Promise<unknown> {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const answer = await this.#connections.call(method, path, text)
    if (answer.status >= 300) {
      throw new Error(`${method} ${path}: ${answer.status} ${answer.body}`)
    }
    return answer.body === '' ? undefined : JSON.parse(answer.body)
  }
}
