/** A plug-in in front of a fake control, called the way engines call it. */

import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { RESOLVER4, RESOLVER6 } from '../../model/resolver.ts'
import { createDockerApi } from './api.ts'
import { FakeControl, HOST_ID } from './fake-control.ts'
import type { PluginApi } from './http.ts'
import { serveDocker } from './serve.ts'

export interface Answered {
  readonly status: number
  readonly type: string
  readonly body: Readonly<Record<string, unknown>>
}

export interface Plugin extends AsyncDisposable {
  readonly path: string
  readonly control: FakeControl
  /** Calls with this body, or this text as the body; undefined: without one. */
  post(method: string, body?: object | string): Promise<Answered>
  /** The same, giving the body; throws what the engine would show. */
  call(method: string, body?: object): Promise<Readonly<Record<string, unknown>>>
}

export async function startPlugin(control = new FakeControl()): Promise<Plugin> {
  const directory = mkdtempSync(join(tmpdir(), 'carrick-docker-'))
  const path = join(directory, 'carrick.sock')
  const server = await serveDocker({ api: apiOf(control), log: silentLog, path })
  const post = (method: string, body?: object | string): Promise<Answered> =>
    postTo(path, `/${method}`, body)
  return {
    path,
    control,
    post,
    call: async (method, body) => {
      const answered = await post(method, body)
      const { Err, Error: error } = answered.body
      if (Err !== undefined || error !== undefined) throw new Error(String(Err))
      return answered.body
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      rmSync(directory, { recursive: true })
    },
  }
}

export function apiOf(control: FakeControl): PluginApi {
  const clock = systemClock()
  const resolvers = [RESOLVER4, RESOLVER6]
  const about = { hostId: HOST_ID, scope: 'local', resolvers } as const
  return createDockerApi({ ...about, control, clock, log: silentLog })
}

/** Calls as 20.10 does: an empty Host, no Content-Type. */
export function postTo(
  socketPath: string,
  path: string,
  body?: object | string,
  method = 'POST',
): Promise<Answered> {
  const text = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body)
  const { promise, resolve, reject } = Promise.withResolvers<Answered>()
  const headers = {
    host: '',
    'user-agent': 'Go-http-client/1.1',
    accept: 'application/vnd.docker.plugins.v1.2+json',
    'content-length': Buffer.byteLength(text),
  }
  const sent = request({ socketPath, path, method, headers }, (response) => {
    const parts: Buffer[] = []
    response.on('data', (part: Buffer) => parts.push(part))
    response.on('end', () => {
      const body = JSON.parse(Buffer.concat(parts).toString())
      const type = response.headers['content-type'] ?? ''
      resolve({ status: response.statusCode ?? 0, type, body })
    })
  })
  sent.on('error', reject)
  sent.end(text)
  return promise
}
