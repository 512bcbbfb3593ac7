import { describe, test } from 'bun:test'
import assert from 'node:assert/strict'
import { ERROR_CODES, NetworkError } from '../../lib/errors.ts'
import { silentLog } from '../../lib/log.ts'
import { createRestApi, type RestDeps } from './api.ts'
import { createFakeControl, fakeEndpoint, fakeNetwork } from './fake-control.ts'
import * as schema from './schemas.ts'

function setUp(more: Partial<RestDeps> = {}) {
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

const NETWORK = { metadata: { name: 'red' }, spec: { subnets: ['10.81.0.0/16'] } }
const ATTACH = { spec: { netns: '/run/netns/x' } }

describe('networks', () => {
  test('POST creates and answers 201 with the whole document', async () => {
    const { ask } = setUp()
    const { status, body, headers } = await ask('POST', '/v1/networks?wait=settled&timeoutMs=50', {
      apiVersion: 'v1',
      kind: 'Network',
      metadata: { name: 'red', labels: { a: 'b' } },
      spec: { subnets: ['10.81.0.0/16'], carrier: 'vxlan', mtuBytes: 1400 },
    })
    assert.equal(status, 201)
    schema.Network.parse(body)
    assert.deepEqual(body.metadata.labels, { a: 'b' })
    assert.deepEqual(body.spec.subnets, ['10.81.0.0/16'])
    assert.equal(body.spec.mtuBytes, 1400)
    assert.match(headers.get('etag') ?? '', /^".{16}"$/)
  })

  test('GET reads by name and by id, list and item alike', async () => {
    const { ask } = setUp()
    const byName = await ask('GET', '/v1/networks/blue')
    const byId = await ask('GET', '/v1/networks/net00001')
    const list = await ask('GET', '/v1/networks')
    assert.deepEqual(byName.body, byId.body)
    assert.deepEqual(schema.NetworkList.parse(list.body).items, [byName.body])
  })

  test('DELETE twice answers 204 twice', async () => {
    const { ask, control } = setUp()
    assert.equal((await ask('DELETE', '/v1/networks/blue')).status, 204)
    assert.equal((await ask('DELETE', '/v1/networks/blue')).status, 204)
    assert.deepEqual(control.networks, [])
  })

  test('DELETE with If-Match removes only what was read', async () => {
    const { ask, control } = setUp()
    const lost = await ask('DELETE', '/v1/networks/blue', undefined, { 'if-match': '"other"' })
    assert.equal(lost.status, 412)
    assert.equal(lost.body.code, 'conflict')
    const etag = (await ask('GET', '/v1/networks/blue')).headers.get('etag') ?? ''
    assert.equal(
      (await ask('DELETE', '/v1/networks/blue', undefined, { 'if-match': etag })).status,
      204,
    )
    const gone = await ask('DELETE', '/v1/networks/blue', undefined, { 'if-match': etag })
    assert.equal(gone.status, 412)
    assert.deepEqual(control.networks, [])
  })
})

describe('endpoints', () => {
  test('POST attaches, and passes on exactly what was given', async () => {
    const { ask, control } = setUp()
    const { status, body } = await ask('POST', '/v1/networks/blue/endpoints', {
      metadata: { name: 'web', labels: { app: 'web' } },
      spec: { pid: 4711, addresses: ['10.80.0.9'], mac: '02:00:00:00:00:09', ifname: 'net0' },
    })
    assert.equal(status, 201)
    schema.Endpoint.parse(body)
    assert.equal(body.metadata.revision, 8)
    assert.equal(body.spec.network, 'blue')
    assert.equal(body.status.host, 'h1')
    assert.equal(body.status.conditions[0].status, 'True')
    assert.deepEqual(control.attached, [
      {
        network: 'blue',
        name: 'web',
        labels: { app: 'web' },
        pid: 4711,
        addresses: ['10.80.0.9'],
        mac: '02:00:00:00:00:09',
        ifname: 'net0',
      },
    ])
  })

  test('an empty list stays empty and an absent one absent', async () => {
    const { ask, control } = setUp()
    await ask('POST', '/v1/networks/blue/endpoints', { spec: { netns: '/x', addresses: [] } })
    await ask('POST', '/v1/networks/blue/endpoints', { spec: { netns: '/x' } })
    assert.deepEqual(control.attached[0]?.addresses, [])
    assert.equal('addresses' in (control.attached[1] ?? {}), false)
  })

  test('remote endpoints show no sandbox and no condition', async () => {
    const { ask, control } = setUp()
    const { sandbox: _, device: _d, number: _n, ...published } = fakeEndpoint(1)
    control.endpoints.push({ ...published, hostId: 'elsewhere' })
    const { body } = await ask('GET', '/v1/endpoints/ep0001')
    schema.Endpoint.parse(body)
    assert.equal(body.spec.netns, undefined)
    assert.equal(body.status.host, undefined)
    assert.deepEqual(body.status.conditions, [])
  })

  test('DELETE through the network and directly', async () => {
    const { ask, control } = setUp()
    control.endpoints.push(fakeEndpoint(1), fakeEndpoint(2))
    assert.equal((await ask('DELETE', '/v1/networks/blue/endpoints/web1')).status, 204)
    assert.equal((await ask('DELETE', '/v1/endpoints/ep0002?wait=settled')).status, 204)
    assert.equal((await ask('DELETE', '/v1/endpoints/ep0002')).status, 204)
    assert.deepEqual(control.endpoints, [])
  })

  test('pages follow each other without a gap or a double', async () => {
    const { ask, control } = setUp()
    for (let i = 25; i >= 1; i--) control.endpoints.push(fakeEndpoint(i))
    const seen: string[] = []
    let next = ''
    do {
      const { body } = await ask('GET', `/v1/networks/blue/endpoints?limit=10${next}`)
      schema.EndpointList.parse(body)
      seen.push(...body.items.map((item: schema.Endpoint) => item.metadata.id))
      next = body.metadata.continue === undefined ? '' : `&continue=${body.metadata.continue}`
    } while (next !== '')
    assert.deepEqual(
      seen,
      Array.from({ length: 25 }, (_, i) => `ep${String(i + 1).padStart(4, '0')}`),
    )
  })

  for (const { selector, want } of [
    { selector: 'app=even', want: ['web2', 'web4'] },
    { selector: 'app!=even', want: ['web1', 'web3'] },
    { selector: 'app', want: ['web1', 'web2', 'web3', 'web4'] },
    { selector: '!app', want: [] },
    { selector: 'app=odd,missing=1', want: [] },
  ]) {
    test(`labelSelector=${selector} selects ${want.join(' ') || 'nothing'}`, async () => {
      const { ask, control } = setUp()
      for (let i = 1; i <= 4; i++) control.endpoints.push(fakeEndpoint(i))
      const { body } = await ask(
        'GET',
        `/v1/endpoints?labelSelector=${encodeURIComponent(selector)}`,
      )
      assert.deepEqual(
        body.items.map((item: schema.Endpoint) => item.metadata.name),
        want,
      )
    })
  }

  test('a filter by an unknown network or host says so', async () => {
    const { ask } = setUp()
    assert.equal((await ask('GET', '/v1/endpoints?network=nope')).status, 404)
    assert.equal((await ask('GET', '/v1/endpoints?host=nope')).status, 404)
    assert.equal((await ask('GET', '/v1/networks/nope/endpoints')).status, 404)
  })
})

describe('the rest', () => {
  test('hosts, tokens, status and drops fit their schemas', async () => {
    const { ask } = setUp({ hostName: 'h1' })
    schema.HostList.parse((await ask('GET', '/v1/hosts')).body)
    schema.Host.parse((await ask('GET', '/v1/hosts/h1')).body)
    const token = await ask('POST', '/v1/tokens', { spec: { ttlSeconds: 60 } })
    assert.equal(schema.Token.parse(token.body).status.text, 'tok1.secret.hash')
    schema.Status.parse((await ask('GET', '/v1/status?wait=settled')).body)
    assert.equal(schema.DropList.parse((await ask('GET', '/v1/drops')).body).items.length, 1)
    assert.equal((await ask('GET', '/v1/drops?all=true')).body.items.length, 2)
    assert.equal((await ask('DELETE', '/v1/hosts/h1')).status, 204)
  })

  test('join hands on address and token, and is unsupported without the function', async () => {
    const body = { spec: { address: 'h1.example.org:7441', token: 't' } }
    const asked: unknown[] = []
    const { ask } = setUp({
      join: async (request) => {
        asked.push(request)
        return { hostId: 'host0002', hostName: 'h2', store: 'h1.example.org:7440' }
      },
    })
    schema.Joined.parse((await ask('POST', '/v1/join', body)).body)
    assert.deepEqual(asked, [body.spec])
    assert.equal((await setUp().ask('POST', '/v1/join', body)).body.code, 'unsupported')
  })

  test('health tells each part, readiness when the doors open', async () => {
    const { ask } = setUp({
      ready: () => false,
      health: () => [{ name: 'store', ok: false, message: 'not connected' }],
    })
    assert.equal((await ask('GET', '/livez')).status, 200)
    assert.equal((await ask('GET', '/readyz')).status, 503)
    assert.equal((await ask('GET', '/healthz')).status, 503)
    const { body } = await ask('GET', '/healthz?verbose')
    assert.equal(schema.Health.parse(body).status, 'failing')
    assert.equal((await setUp().ask('GET', '/readyz')).status, 200)
  })
})

describe('errors', () => {
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
    assert.equal(headers.get('allow'), 'GET, DELETE')
  })

  test('another host name is refused', async () => {
    const { api } = setUp()
    assert.equal((await api.fetch(new Request('http://evil.example.org/v1/networks'))).status, 403)
  })
})
