import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { ERROR_CODES, NetworkError } from '../../lib/errors.ts'
import { setUp } from './ask.ts'
import * as schema from './schemas.ts'

const NETWORK = { metadata: { name: 'red' }, spec: { subnets: ['10.81.0.0/16'] } }
const ATTACH = { spec: { netns: '/run/netns/x' } }

const statuses: Record<string, number> = {
  invalid: 400,
  'not-found': 404,
  'already-exists': 409,
  conflict: 409,
  exhausted: 409,
  unauthenticated: 401,
  forbidden: 403,
  unsupported: 422,
  unavailable: 503,
  timeout: 504,
  kernel: 500,
}
for (const code of ERROR_CODES) {
  test(`${code} becomes ${statuses[code]} with hint and fields`, async () => {
    const { ask, control } = setUp()
    const fields = [{ pointer: '/spec/addresses/0', message: 'taken' }]
    control.fail(
      'attach',
      new NetworkError(code, 'Cannot attach: so it is', { hint: 'try', fields }),
    )
    const { status, body, headers } = await ask('POST', '/v1/networks/blue/endpoints', ATTACH)
    assert.equal(status, statuses[code])
    assert.equal(headers.get('content-type'), 'application/problem+json')
    assert.equal(headers.has('retry-after'), code === 'unavailable')
    schema.Problem.parse(body)
    assert.deepEqual(
      { ...body, requestId: '', title: '' },
      {
        type: `https://example.org/errors/${code}`,
        title: '',
        status,
        code,
        detail: 'Cannot attach: so it is',
        hint: 'try',
        fields,
        instance: '/v1/networks/blue/endpoints',
        requestId: '',
      },
    )
  })
}

test('what nobody foresaw is 500 without its text, which may be secret', async () => {
  const { ask, control } = setUp()
  control.fail('attach', new TypeError('x is undefined at /root/secret'))
  const { status, body } = await ask('POST', '/v1/networks/blue/endpoints', ATTACH)
  assert.equal(status, 500)
  assert.equal(schema.Problem.parse(body).code, 'internal')
  assert.doesNotMatch(JSON.stringify(body), /secret/)
})

test('several wrong fields are told together, with what was probably meant', async () => {
  const { ask } = setUp()
  const { status, body } = await ask('POST', '/v1/networks', {
    metadata: { name: 7, lables: {} },
    spec: { subnets: '10.0.0.0/8', carier: 'vxlan', mtuBytes: 1.5 },
  })
  assert.equal(status, 400)
  assert.deepEqual(body.fields.map(({ pointer }: { pointer: string }) => pointer).sort(), [
    '/metadata/lables',
    '/metadata/name',
    '/spec/carier',
    '/spec/mtuBytes',
    '/spec/subnets',
  ])
  assert.match(body.detail, /unknown field, did you mean "carrier"\?/)
})

for (const { name, method = 'POST', path = '/v1/networks', body, headers, status, code } of [
  { name: 'broken JSON', body: '{"metadata":', status: 400, code: 'invalid' },
  { name: 'an empty body', body: '', status: 400, code: 'invalid' },
  { name: 'a list as body', body: '[]', status: 400, code: 'invalid' },
  {
    name: 'a key twice',
    body: '{"metadata":{"name":"a","na\\u006de":"b"},"spec":{"subnets":[]}}',
    status: 400,
    code: 'invalid',
  },
  {
    name: '__proto__',
    body: '{"metadata":{"name":"a","labels":{"__proto__":"x"}},"spec":{"subnets":[]}}',
    status: 400,
    code: 'invalid',
  },
  { name: 'deep nesting', body: '['.repeat(100_000), status: 400, code: 'invalid' },
  { name: 'a large body', body: `"${'x'.repeat(1024 * 1024)}"`, status: 413, code: 'invalid' },
  {
    name: 'no JSON type',
    body: JSON.stringify(NETWORK),
    headers: { 'content-type': 'text/plain' },
    status: 415,
    code: 'invalid',
  },
  {
    name: 'an unknown query field',
    path: '/v1/networks?dryRun=true',
    body: JSON.stringify(NETWORK),
    status: 400,
    code: 'invalid',
  },
  {
    name: 'a limit of 0',
    method: 'GET',
    path: '/v1/networks?limit=0',
    status: 400,
    code: 'invalid',
  },
  {
    name: 'a field twice in the query',
    method: 'GET',
    path: '/v1/networks?limit=1&limit=2',
    status: 400,
    code: 'invalid',
  },
  {
    name: 'a foreign continue token',
    method: 'GET',
    path: '/v1/networks?continue=zzz',
    status: 400,
    code: 'invalid',
  },
  {
    name: 'an unreadable selector',
    method: 'GET',
    path: '/v1/networks?labelSelector=a%3Db%3Dc',
    status: 400,
    code: 'invalid',
  },
  { name: 'an unknown path', method: 'GET', path: '/v1/nets', status: 404, code: 'not-found' },
  {
    name: 'an unknown method',
    method: 'PUT',
    path: '/v1/networks/x',
    status: 405,
    code: 'unsupported',
  },
  {
    name: 'a watch without a source',
    method: 'GET',
    path: '/v1/networks?watch=true',
    status: 422,
    code: 'unsupported',
  },
  {
    name: 'a page of another origin',
    method: 'GET',
    path: '/v1/networks',
    headers: { origin: 'http://evil.example.org' },
    status: 403,
    code: 'forbidden',
  },
] as const) {
  test(`${name} is ${status} ${code}`, async () => {
    const { ask, control } = setUp()
    const answer = await ask(
      method,
      path,
      body,
      headers ?? (body === undefined ? {} : { 'content-type': 'application/json' }),
    )
    assert.equal(answer.status, status)
    assert.equal(schema.Problem.parse(answer.body).code, code)
    assert.equal(control.networks.length, 1)
  })
}

test('405 names what would be allowed', async () => {
  const { headers } = await setUp().ask('PUT', '/v1/networks/x')
  assert.equal(headers.get('allow'), 'GET, PATCH, DELETE')
})

test('another host name is refused', async () => {
  const { api } = setUp()
  assert.equal((await api.fetch(new Request('http://evil.example.org/v1/networks'))).status, 403)
})

test('too many requests at once are told to come back, and the others are served', async () => {
  const { ask, control } = setUp()
  const { promise, resolve } = Promise.withResolvers<ReturnType<typeof control.status>>()
  control.waitSettled = () => promise
  const waiting = Array.from({ length: 256 }, () => ask('GET', '/v1/status?wait=settled'))
  const refused = await ask('GET', '/v1/status')
  assert.equal(refused.status, 429)
  assert.equal(refused.headers.get('retry-after'), '1')
  resolve(control.status())
  assert.ok((await Promise.all(waiting)).every(({ status }) => status === 200))
  assert.equal((await ask('GET', '/v1/status')).status, 200)
})
