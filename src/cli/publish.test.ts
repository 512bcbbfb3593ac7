/** `carrick publish` and what `attach` and `endpoint` show of it. */

import { afterEach, beforeEach, describe, test } from 'bun:test'
import assert from 'node:assert/strict'
import { CREATED_AT, fakeEndpoint, ip } from '../api/rest/fake-control.ts'
import { NetworkError } from '../lib/errors.ts'
import type { Publication } from '../model/publication.ts'
import { type CliScene, startCli } from './testing.ts'

let cli: CliScene
beforeEach(async () => {
  cli = await startCli()
  cli.control.endpoints.push(
    fakeEndpoint(3, { name: 'four', addresses: [ip('10.80.0.3')], labels: {} }),
  )
  const common = {
    schema: 1,
    networkId: 'net00001',
    hostId: 'host0001',
    createdAt: CREATED_AT,
  } as const
  const web = {
    ...common,
    endpointId: 'ep0001',
    protocol: 'tcp',
    containerPort: 80,
    count: 1,
  } as const
  const publications: readonly Publication[] = [
    { ...web, id: 'pub00001', hostPort: 8080 },
    { ...web, id: 'pub00002', hostPort: 9000, containerPort: 9000, count: 3 },
    {
      ...web,
      ...{ id: 'pub00003', protocol: 'udp', hostAddress: ip('127.0.0.1'), hostPort: 5353 },
      containerPort: 53,
    },
    { ...web, id: 'pub00004', endpointId: 'ep0003', hostPort: 8081 },
    { ...web, id: 'pub00005', hostAddress: ip('2001:db8::5'), hostPort: 8443 },
    { ...web, id: 'pub00006', hostAddress: ip('192.0.2.1'), hostPort: 8443 },
  ]
  cli.control.publications.push(...publications)
})
afterEach(() => cli[Symbol.asyncDispose]())

describe('what is printed', () => {
  for (const { line, want } of [
    {
      line: 'publish ls --filter port=9000-9002',
      want: `ID         HOST   ADDRESS        PORT   PROTO   TO                                                    WHO CAN REACH IT   AGE
pub00002   h1     all       9000-9002   tcp     blue/web1 10.80.0.11:9000-9002 [fd80::11]:9000-9002   any machine         3m
`,
    },
    {
      line: 'publish ls --no-headers --filter proto=udp',
      want: 'pub00003   h1   127.0.0.1   5353   udp   blue/web1 10.80.0.11:53   this host only   3m\n',
    },
    {
      line: 'publish ls --no-headers --endpoint four',
      want: 'pub00004   h1   all   8081   tcp   blue/four 10.80.0.3:80   any machine, only over IPv4   3m\n',
    },
    {
      line: 'publish ls --no-headers --filter address=2001:db8::5',
      want: 'pub00005   h1   2001:db8::5   8443   tcp   blue/web1 [fd80::11]:80   machines that reach [2001:db8::5]   3m\n',
    },
    {
      line: 'publish ls -o name --endpoint web1 --sort-by id',
      want: `8080/tcp
9000-9002/tcp
127.0.0.1:5353/udp
[2001:db8::5]:8443/tcp
192.0.2.1:8443/tcp
`,
    },
    { line: 'publish ls -q --network blue --host h1 --filter port=8081', want: 'pub00004\n' },
    { line: 'publish add web2 80 -q', want: 'pub00007\n' },
    { line: 'publish add web2 80 81 -q', want: 'pub00007\npub00008\n' },
    { line: 'publish rm 8080/tcp', want: 'pub00001\n' },
    { line: 'publish rm 9000-9002/tcp 127.0.0.1:5353/udp', want: 'pub00002\npub00003\n' },
    { line: 'publish rm [2001:db8::5]:8443/tcp', want: 'pub00005\n' },
    { line: 'publish rm four --wait', want: 'pub00004\n' },
    { line: 'publish rm pub00003', want: 'pub00003\n' },
    {
      line: 'endpoint get web1 --no-headers',
      want: 'ep0001   web1   blue   10.80.0.11,fd80::11   h1   8080/tcp->80,9000-9002/tcp->9000-9002,127.0.0.1:5353/udp->53,[2001:db8::5]:8443/tcp->80,192.0.2.1:8443/tcp->80   ready   veth   3m\n',
    },
  ]) {
    test(`carrick ${line}`, async () => {
      assert.deepEqual(await cli.run(line), { exit: 0, out: want, err: '' })
    })
  }
})

describe('what is refused', () => {
  for (const { line, exit, err } of [
    {
      line: 'publish rm 8443/tcp',
      exit: 2,
      err: /Cannot tell which 8443\/tcp is meant: there are \[2001:db8::5\]:8443\/tcp, 192\.0\.2\.1:8443\/tcp/,
    },
    {
      line: 'publish rm 9001/tcp',
      exit: 3,
      err: /Cannot find 9001\/tcp.*\nhint: carrick publish ls/,
    },
    { line: 'publish rm web2', exit: 3, err: /Cannot find a published port of endpoint "web2"/ },
    { line: 'publish rm nope', exit: 3, err: /Cannot find the endpoint "nope"/ },
    { line: 'publish add nope 80', exit: 3, err: /Cannot find the endpoint "nope"/ },
    { line: 'publish add web1', exit: 2, err: /missing required argument/ },
  ]) {
    test(`carrick ${line} ends with ${exit}`, async () => {
      const answer = await cli.run(line)
      assert.equal(answer.exit, exit)
      assert.match(answer.err, err)
    })
  }
})

test('attach hands on what is to be published, for one network and for several', async () => {
  const flags = '--pid 7 --publish 8080:80 --publish [::1]:53:53/udp'
  assert.equal((await cli.run(`attach blue ${flags}`)).exit, 0)
  assert.deepEqual(cli.control.attached.at(-1)?.publish, ['8080:80', '[::1]:53:53/udp'])
  assert.equal((await cli.run(`attach blue blue ${flags}`)).exit, 0)
  assert.deepEqual(cli.control.attached.at(-1)?.publish, ['8080:80', '[::1]:53:53/udp'])
  assert.equal((await cli.run('attach blue --pid 7')).exit, 0)
  assert.equal(cli.control.attached.at(-1)?.publish, undefined)
})

test('add shows the port that was chosen', async () => {
  const { out } = await cli.run('publish add web2 80')
  assert.match(out, /^pub00007 +h1 +all +32768 +tcp +blue\/web2 /m)
})

test('one that is not published and one that is: the second is shown, the first told', async () => {
  const message = 'Cannot use port 80/tcp: it is in use by nginx (pid 4711)'
  cli.control.fail('publish', new NetworkError('conflict', message))
  assert.deepEqual(await cli.run('publish add web2 80:80 81 -q'), {
    exit: 4,
    out: 'pub00007\n',
    err: `error: ${message}\n`,
  })
})

test('--watch tells of ports, and of the endpoint that has them', async () => {
  const stop = new AbortController()
  const out: string[] = []
  const watching = cli.run('publish ls -o json -w', {
    signal: stop.signal,
    writeOut: async (text) => {
      out.push(text)
      if (out.length === 1) {
        cli.control.publications.shift()
        for (const listener of cli.listeners) listener({ kind: 'publication', id: 'pub00001' })
      } else stop.abort()
    },
  })
  assert.equal((await watching).exit, 130)
  assert.deepEqual(JSON.parse(out[1] ?? ''), {
    event: 'delete',
    object: { metadata: { id: 'pub00001' } },
  })
})
