import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { silentLog } from '../../lib/log.ts'
import { createRestApi } from './api.ts'
import { createFakeControl, fakeEndpoint, fakeNetwork } from './fake-control.ts'
import type { Change } from './watch.ts'

function setUp() {
  const control = createFakeControl()
  control.networks.push(fakeNetwork('blue'))
  const listeners = new Set<(change: Change) => void>()
  const api = createRestApi({
    control,
    log: silentLog,
    version: '0.1.0',
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  })
  const tell = (change: Change): void => {
    for (const listener of listeners) listener(change)
  }
  return { control, api, listeners, tell }
}

interface Data {
  readonly metadata: { readonly id: string }
  readonly items?: readonly Data[]
}

/** Events of the stream, one at a time. */
async function* events(
  response: Response,
): AsyncGenerator<{ name: string; data: Data }, undefined> {
  let text = ''
  const decoder = new TextDecoder()
  for await (const part of response.body ?? []) {
    text += decoder.decode(part, { stream: true })
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const [, name = '', data = 'null'] =
        /^event: (.*)\ndata: (.*)$/.exec(text.slice(0, end)) ?? []
      text = text.slice(end + 2)
      yield { name, data: JSON.parse(data) }
    }
  }
}

test('a watch begins with everything, then tells changes of what it selects, and lets go', async () => {
  const { control, api, listeners, tell } = setUp()
  control.endpoints.push(fakeEndpoint(1))
  const response = await api.fetch(
    new Request('http://carrick/v1/endpoints?watch=true&labelSelector=app%3Dodd'),
  )
  assert.equal(response.headers.get('content-type'), 'text/event-stream')
  const stream = events(response)
  const next = async () => (await stream.next()).value

  const reset = await next()
  assert.equal(reset?.name, 'reset')
  assert.deepEqual(
    reset?.data.items?.map((item) => item.metadata.id),
    ['ep0001'],
  )

  control.endpoints.push(fakeEndpoint(2), fakeEndpoint(3))
  tell({ kind: 'network', id: 'net00001' })
  tell({ kind: 'endpoint', id: 'ep0002' }) // even: not selected
  tell({ kind: 'endpoint', id: 'ep0003' })
  const put = await next()
  assert.equal(put?.name, 'put')
  assert.equal(put?.data.metadata.id, 'ep0003')

  control.endpoints.length = 0
  for (const id of ['ep0001', 'ep0002', 'ep0003']) tell({ kind: 'endpoint', id })
  const deleted = [await next(), await next()]
  assert.deepEqual(
    deleted.map((event) => [event?.name, event?.data.metadata.id]),
    [
      ['delete', 'ep0001'],
      ['delete', 'ep0003'],
    ],
  )

  await stream.return(undefined)
  assert.equal(listeners.size, 0)
})

test('a reader that falls behind is cut off', async () => {
  const { control, api, listeners, tell } = setUp()
  const response = await api.fetch(new Request('http://carrick/v1/endpoints?watch=true'))
  for (let i = 1; i <= 2000; i++) {
    control.endpoints.push(fakeEndpoint(i))
    tell({ kind: 'endpoint', id: `ep${String(i).padStart(4, '0')}` })
  }
  let count = 0
  for await (const _ of events(response)) {
    count++
    if (count === 1) await until(() => listeners.size === 0)
  }
  assert.ok(count < 2000)
})

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5000
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('The condition did not come true')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
