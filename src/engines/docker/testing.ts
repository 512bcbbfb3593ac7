/** An engine that is none: its API on a unix socket, with answers of the shapes that real ones gave. For tests. */

import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { NetworkOrder } from './engine-api.ts'

/** As in the answer to `GET /networks`. */
export type RawNetwork = Readonly<Record<string, unknown>> & {
  readonly Id: string
  readonly Name: string
}
/** As in the answer to `GET /containers/json`. */
export type RawContainer = Readonly<Record<string, unknown>> & { readonly Id: string }

export function rawNetwork(id: string, name: string, fields: object = {}): RawNetwork {
  return {
    Name: name,
    Id: id,
    Created: '2026-01-02T03:04:05.678901234Z',
    Scope: 'local',
    Driver: 'bridge',
    EnableIPv6: false,
    IPAM: { Driver: 'default', Options: null, Config: [] },
    Internal: false,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: {},
    Options: {},
    Labels: {},
    ...fields,
  }
}

/** What every engine has. */
export function builtinNetworks(startedAt: string, store = 'store1'): RawNetwork[] {
  return [
    rawNetwork('b'.repeat(64), 'bridge', { Created: startedAt }),
    rawNetwork(`none-${store}`, 'none', { Driver: 'null' }),
    rawNetwork(`host-${store}`, 'host', { Driver: 'host' }),
  ]
}

export class FakeEngine implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'ckt-engine-'))
  readonly socketPath = join(this.directory, 'docker.sock')
  networks: RawNetwork[] = builtinNetworks('2026-01-01T00:00:00Z')
  containers: RawContainer[] = []
  /** By container id: what its inspection adds. */
  readonly details = new Map<string, object>()
  /** By network's name. */
  readonly refusals = new Map<string, { readonly status: number; readonly message: string }>()
  readonly asked: string[] = []
  /** True: takes every question and answers none. */
  blocked = false
  /** Stands for the driver, which an engine asks meanwhile. */
  onCreate: (network: RawNetwork) => void = () => undefined
  onRemove: (id: string) => void = () => undefined
  #server: Server | undefined
  readonly #streams = new Set<ServerResponse>()
  #serial = 0

  async start(): Promise<void> {
    const server = createServer((request, response) => void this.#answer(request, response))
    await new Promise<void>((resolve) => server.listen(this.socketPath, resolve))
    this.#server = server
  }

  /** As when the engine ends: its socket stays, and nobody listens. */
  async stop(): Promise<void> {
    for (const stream of this.#streams) stream.destroy()
    this.#streams.clear()
    const server = this.#server
    this.#server = undefined
    if (server === undefined) return
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
  }

  tell(type: string, action: string, id: string, attributes: Record<string, string> = {}): void {
    const time = { scope: 'local', time: 1, timeNano: 1 }
    const event = { Type: type, Action: action, Actor: { ID: id, Attributes: attributes }, ...time }
    for (const stream of this.#streams) stream.write(`${JSON.stringify(event)}\n`)
  }

  remove(id: string): void {
    const network = this.networks.find((each) => each.Id === id)
    this.networks = this.networks.filter((each) => each.Id !== id)
    this.onRemove(id)
    this.tell('network', 'destroy', id, { name: network?.Name ?? '', type: 'carrick' })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    rmSync(this.directory, { recursive: true, force: true })
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://docker')
    const path = url.pathname.replace(/^\/v\d+\.\d+/, '')
    this.asked.push(`${request.method} ${path}`)
    if (this.blocked) return
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const send = (status: number, body?: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(body === undefined ? undefined : JSON.stringify(body))
    }
    const [room, id = ''] = path.slice(1).split('/')
    if (path === '/version') {
      send(200, { Version: '20.10.24+dfsg1', ApiVersion: '1.41', MinAPIVersion: '1.12' })
    } else if (path === '/events') {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.flushHeaders()
      this.#streams.add(response)
    } else if (path === '/networks') {
      send(
        200,
        this.networks.map((network) => ({ ...network, Containers: {} })),
      )
    } else if (path === '/networks/create') {
      this.#create(JSON.parse(Buffer.concat(parts).toString('utf8')), send)
    } else if (room === 'networks' && request.method === 'DELETE') {
      const found = this.networks.some((network) => network.Id === id)
      if (found) this.remove(id)
      send(found ? 204 : 404, found ? undefined : { message: `network ${id} not found` })
    } else if (room === 'networks') {
      const found = this.networks.find((network) => network.Id === id)
      send(found === undefined ? 404 : 200, found ?? { message: `network ${id} not found` })
    } else if (path === '/containers/json') {
      const filters = JSON.parse(url.searchParams.get('filters') ?? '{}')
      send(
        200,
        this.containers.filter(({ Id }) => filters.id === undefined || filters.id.includes(Id)),
      )
    } else if (room === 'containers') {
      send(200, { ...this.containers.find(({ Id }) => Id === id), ...this.details.get(id) })
    } else send(404, { message: 'page not found' })
  }

  #create(order: NetworkOrder, send: (status: number, body: unknown) => void): void {
    const refusal = this.refusals.get(order.Name)
    if (refusal !== undefined) {
      send(refusal.status, { message: refusal.message })
      return
    }
    const network = rawNetwork(`${++this.#serial}`.padStart(64, 'c'), order.Name, {
      ...{ Driver: order.Driver, IPAM: order.IPAM, Options: order.Options, Labels: order.Labels },
      Internal: order.Internal,
    })
    this.networks.push(network)
    this.onCreate(network)
    this.tell('network', 'create', network.Id, { name: order.Name, type: order.Driver })
    send(201, { Id: network.Id, Warning: '' })
  }
}
