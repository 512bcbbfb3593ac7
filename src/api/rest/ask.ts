/** Asks an API in front of a fake control, for tests. */

import { silentLog } from '../../lib/log.ts'
import { createRestApi, type RestDeps } from './api.ts'
import { createFakeControl, fakeNetwork } from './fake-control.ts'

/** An API with one network `blue`, and a function that asks it. */
export function setUp(more: Partial<RestDeps> = {}) {
  const control = createFakeControl()
  control.networks.push(fakeNetwork('blue'))
  const api = createRestApi({ control, log: silentLog, version: '0.1.0', ...more })
  async function ask(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ) {
    const response = await api.fetch(
      new Request(`http://carrick${path}`, {
        method,
        ...(body === undefined
          ? {}
          : {
              body: typeof body === 'string' ? body : JSON.stringify(body),
              headers: { 'content-type': 'application/json' },
            }),
        ...(Object.keys(headers).length === 0 ? {} : { headers }),
      }),
    )
    const text = await response.text()
    const json = (response.headers.get('content-type') ?? '').includes('json')
    return {
      status: response.status,
      headers: response.headers,
      body: json ? JSON.parse(text) : text,
    }
  }
  return { control, ask, api }
}
