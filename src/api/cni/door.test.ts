import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { type CniReply, type CniRequest, STDIN_BYTES } from '../../cni/exchange.ts'
import type { CniApi } from './api.ts'
import { CniDoor } from './door.ts'

const REQUEST: CniRequest = { version: 1, environment: { CNI_COMMAND: 'ADD' }, stdin: '{}' }

const post = (body: unknown, init: RequestInit = {}) =>
  new Request('http://carrick/cni/v1', {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...init,
  })

const echo: CniApi = {
  answer: async ({ environment }) => ({ stdout: environment['CNI_COMMAND'] ?? '', exit: 0 }),
  replay: async () => {},
}

const replyOf = async (response: Response) => (await response.json()) as CniReply

test('a call is passed on as it came', async () => {
  const door = new CniDoor()
  using _serving = door.serve(echo)
  assert.deepEqual(await replyOf(await door.fetch(post(REQUEST))), { stdout: 'ADD', exit: 0 })
})

test('a call in frames is passed on as it came, and answered in frames', async () => {
  const door = new CniDoor()
  using _serving = door.serve(echo)
  const headers = { 'content-type': 'application/octet-stream' }
  const answer = await door.fetch(post('CNI_COMMAND=ADD\0\0{}', { headers }))
  assert.equal(await answer.text(), '0\0ADD\0\0')
  assert.equal((await door.fetch(post('CNI_COMMAND=ADD', { headers }))).status, 400)
})

for (const { what, request, status } of [
  { what: 'no JSON', request: post('{'), status: 400 },
  { what: 'another version', request: post({ ...REQUEST, version: 2 }), status: 400 },
  {
    what: 'variables that are no text',
    request: post({ ...REQUEST, environment: { A: 1 } }),
    status: 400,
  },
  { what: 'null', request: post('null'), status: 400 },
  {
    what: 'a page’s request',
    request: post(REQUEST, { headers: { origin: 'http://x' } }),
    status: 405,
  },
  { what: 'a GET', request: new Request('http://carrick/cni/v1'), status: 405 },
]) {
  test(`${what} is refused with ${status}`, async () => {
    const door = new CniDoor()
    using _serving = door.serve(echo)
    assert.equal((await door.fetch(request)).status, status)
  })
}

test('all that may stand on standard input is taken, as JSON at its longest; more is not', async () => {
  const door = new CniDoor()
  using _serving = door.serve({
    ...echo,
    answer: async ({ stdin }) => ({ stdout: `${stdin.length}`, exit: 0 }),
  })
  const longest = JSON.stringify({ ...REQUEST, stdin: '\u0001'.repeat(STDIN_BYTES) })
  assert.equal((await replyOf(await door.fetch(post(longest)))).stdout, `${STDIN_BYTES}`)
  const chunk = Buffer.alloc(1024 * 1024, ' ')
  let sent = 0
  const endless = new ReadableStream({
    pull: (controller) => {
      sent += chunk.length
      controller.enqueue(chunk)
    },
  })
  const request = new Request('http://carrick/cni/v1', { method: 'POST', body: endless })
  assert.equal((await door.fetch(request)).status, 413)
  assert.ok(sent < 7 * STDIN_BYTES, `${sent} bytes were taken`)
  const headers = { 'content-length': `${7 * STDIN_BYTES}` }
  assert.equal((await door.fetch(post('{}', { headers }))).status, 413)
})

test('before anybody serves, STATUS is told at once and DEL is left to the process', async () => {
  const door = new CniDoor()
  const call = (verb: string) =>
    door.fetch(post({ ...REQUEST, environment: { CNI_COMMAND: verb } }))
  const { stdout, exit } = await replyOf(await call('STATUS'))
  assert.equal(exit, 1)
  assert.equal((JSON.parse(stdout) as { code: number }).code, 50)
  assert.equal((await call('DEL')).status, 503)
})

test('an ADD waits for who serves', async () => {
  const door = new CniDoor()
  const answered = door.fetch(post(REQUEST))
  using _serving = door.serve(echo)
  assert.equal((await replyOf(await answered)).stdout, 'ADD')
})

test('who waits no longer is told of by the signal', async () => {
  const door = new CniDoor()
  const seen: boolean[] = []
  using _serving = door.serve({
    ...echo,
    answer: async (_request, gone) => {
      seen.push(gone.aborted)
      return { stdout: '', exit: 1 }
    },
  })
  await door.fetch(post(REQUEST, { signal: AbortSignal.abort() }))
  assert.deepEqual(seen, [true])
})
