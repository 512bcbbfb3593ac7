import { describe, test } from 'bun:test'
import assert from 'node:assert/strict'
import { setUp } from './ask.ts'
import * as endpointSchema from './endpoint-schemas.ts'
import { fakeEndpoint } from './fake-control.ts'
import * as networkSchema from './network-schemas.ts'
import * as schema from './schemas.ts'

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
    networkSchema.Network.parse(body)
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
    assert.deepEqual(networkSchema.NetworkList.parse(list.body).items, [byName.body])
  })

  test('PATCH merges, null is the default, and what is not named stays', async () => {
    const { ask } = setUp()
    const merge = { 'content-type': 'application/merge-patch+json' }
    const first = { metadata: { labels: { a: 'b' } }, spec: { mtuBytes: 1400, internal: true } }
    const { status, body } = await ask('PATCH', '/v1/networks/blue', first, merge)
    assert.equal(status, 200)
    networkSchema.Network.parse(body)
    assert.deepEqual(body.metadata.labels, { tier: 'blue', a: 'b' })
    assert.deepEqual([body.spec.mtuBytes, body.spec.internal], [1400, true])
    const second = { metadata: { labels: { tier: null } }, spec: { mtuBytes: null } }
    const again = await ask('PATCH', '/v1/networks/blue', second)
    assert.deepEqual(again.body.metadata.labels, { a: 'b' })
    assert.deepEqual([again.body.spec.mtuBytes, again.body.spec.internal], [undefined, true])
  })

  test('PATCH with If-Match changes only what was read, and tells what is to be known', async () => {
    const { ask } = setUp()
    const patch = { spec: { carrier: 'direct' } }
    const json = { 'content-type': 'application/json' }
    const other = { ...json, 'if-match': '"other"' }
    const lost = await ask('PATCH', '/v1/networks/blue', patch, other)
    assert.equal(lost.status, 412)
    const etag = (await ask('GET', '/v1/networks/blue')).headers.get('etag') ?? ''
    const same = { ...json, 'if-match': etag }
    const { status, body, headers } = await ask('PATCH', '/v1/networks/blue', patch, same)
    assert.equal(status, 200)
    assert.notEqual(headers.get('etag'), etag)
    assert.deepEqual(body.status.notes, ['h2 is away'])
  })

  test('PATCH refuses what is no field of a network', async () => {
    const { ask } = setUp()
    for (const patch of [
      { spec: { vni: 7 } },
      { metadata: { name: 'red' } },
      { spec: { carrier: 'pigeon' } },
      { spec: { subnets: null } },
    ]) {
      const { status } = await ask('PATCH', '/v1/networks/blue', patch)
      assert.equal(status, 400, JSON.stringify(patch))
    }
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
  test('POST to all endpoints attaches to several networks, in their order', async () => {
    const { ask, control } = setUp()
    const { status, body } = await ask('POST', '/v1/endpoints', {
      metadata: { name: 'web' },
      spec: {
        pid: 7,
        networks: [
          { network: 'blue', ifname: 'a' },
          { network: 'blue', defaultRoute: true },
        ],
      },
    })
    assert.equal(status, 201)
    endpointSchema.EndpointList.parse(body)
    assert.deepEqual(
      control.attached.map(({ ifname, defaultRoute, pid, name }) => {
        return [ifname, defaultRoute, pid, name]
      }),
      [
        ['a', undefined, 7, 'web'],
        [undefined, true, 7, 'web'],
      ],
    )
    const none = await ask('POST', '/v1/endpoints', { spec: { pid: 7, networks: [] } })
    assert.equal(none.status, 400)
  })

  test('POST attaches, and passes on exactly what was given', async () => {
    const { ask, control } = setUp()
    const { status, body } = await ask('POST', '/v1/networks/blue/endpoints', {
      metadata: { name: 'web', labels: { app: 'web' } },
      spec: { pid: 4711, addresses: ['10.80.0.9'], mac: '02:00:00:00:00:09', ifname: 'net0' },
    })
    assert.equal(status, 201)
    endpointSchema.Endpoint.parse(body)
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
    endpointSchema.Endpoint.parse(body)
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
      endpointSchema.EndpointList.parse(body)
      seen.push(...body.items.map((item: endpointSchema.Endpoint) => item.metadata.id))
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
        body.items.map((item: endpointSchema.Endpoint) => item.metadata.name),
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
