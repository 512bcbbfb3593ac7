/** The commands against a real API over a real socket, with a control that lives in memory. */

import { afterEach, beforeEach, describe, test } from 'bun:test'
import assert from 'node:assert/strict'
import { type FakeControl, fakeEndpoint, fakeNetwork } from '../api/rest/fake-control.ts'
import { NetworkError } from '../lib/errors.ts'
import { NO_SANDBOX } from '../model/endpoint.ts'
import { ENGINE_LABELS } from '../model/engine-network.ts'
import { type CliScene, startCli } from './testing.ts'

let cli: CliScene
let control: FakeControl
beforeEach(async () => {
  cli = await startCli()
  control = cli.control
})
afterEach(() => cli[Symbol.asyncDispose]())

const run: CliScene['run'] = (line, more) => cli.run(line, more)

describe('what is printed', () => {
  for (const { line, want } of [
    {
      line: 'network ls',
      want: `NAME   SUBNETS                  CARRIER    VNI   AGE
blue   10.80.0.0/16,fd80::/48   auto      4097    3m
`,
    },
    {
      line: 'network get blue -o wide',
      want: `NAME   ID         SUBNETS                  GATEWAYS            CARRIER    VNI   MTU   OUTSIDE       OPEN   DOCKER   LABELS      AGE
blue   net00001   10.80.0.0/16,fd80::/48   10.80.0.1,fd80::1   auto      4097   -     masqueraded   -      -        tier=blue    3m
`,
    },
    { line: 'network ls -q', want: 'net00001\n' },
    { line: 'network ls -o name', want: 'blue\n' },
    {
      line: 'endpoint ls --no-headers --sort-by name',
      want: `ep0001   web1   blue   10.80.0.11,fd80::11   h1   -   ready   veth   3m
ep0002   web2   blue   10.80.0.12,fd80::12   h1   -   ready   veth   3m
`,
    },
    { line: 'endpoint ls -q --filter addresses=fd80::12', want: 'ep0002\n' },
    { line: 'endpoint ls -q -l app=odd', want: 'ep0001\n' },
    { line: 'endpoint ls -q --network blue --host h1', want: 'ep0001\nep0002\n' },
    {
      line: 'host ls',
      want: `NAME   ID         UNDERLAY    STATE   ENDPOINTS   FAILURES   VERSION
h1     host0001   192.0.2.1   alive           0          0   0.1.0
`,
    },
    {
      line: 'drops',
      want: `REASON           ENDPOINT   NETWORK   PACKETS   BYTES
spoofed-source   web1       blue        1,234   96KiB
`,
    },
    { line: 'drops --all -o name', want: 'ignored\nspoofed-source\n' },
    {
      line: 'status',
      want: `host:        h1 (host0001)
version:     0.1.0
store:       embedded [::]:7440, connected, revision 42
published:   everything
settled:     yes
networks:    1
endpoints:   2 here, 0 elsewhere
repaired:    nothing
`,
    },
    { line: 'status --wait --timeout 5 -q', want: 'host0001\n' },
    { line: 'token create --ttl 10m', want: 'tok1.secret.hash\n' },
    { line: 'join 192.0.2.1:7441 --token-file -', want: 'h2 joined 192.0.2.1:7441\n' },
    { line: 'version', want: 'carrick 0.1.0\ndaemon 0.1.0\n' },
    { line: 'detach web1 ep0002 --network blue', want: 'ep0001\nep0002\n' },
    { line: 'network rm blue --wait', want: 'blue\n' },
    { line: 'host rm h1 --yes', want: 'h1\n' },
    { line: 'attach blue --pid 4711 --name db -q', want: 'ep0003\n' },
    { line: 'network ls --color always -q', want: 'net00001\n' },
  ]) {
    test(`carrick ${line}`, async () => {
      assert.deepEqual(await run(line), { exit: 0, out: want, err: '' })
    })
  }

  test('attach passes on every option', async () => {
    const { exit } = await run(
      'attach blue --netns x --ip 10.80.0.9 --ip fd80::9 --mac 02:00:00:00:00:09 --name db --label app=db --label b= --ifname net0',
    )
    assert.equal(exit, 0)
    assert.deepEqual(control.attached, [
      {
        network: 'blue',
        name: 'db',
        labels: { app: 'db', b: '' },
        netns: '/run/netns/x',
        addresses: ['10.80.0.9', 'fd80::9'],
        mac: '02:00:00:00:00:09',
        ifname: 'net0',
      },
    ])
  })

  test('what an engine attached is shown with its container, what is only held as such', async () => {
    const labels = {
      ...{ [ENGINE_LABELS.container]: 'shop-web-1', [ENGINE_LABELS.image]: 'busybox' },
      ...{ 'com.docker.compose.project': 'shop', 'com.docker.compose.service': 'web' },
    }
    const engine = { attachment: 'engine', sandbox: NO_SANDBOX, ifname: 'cke1', labels } as const
    const held = { attachment: 'held', sandbox: NO_SANDBOX, ifname: '', device: '' } as const
    control.endpoints.push(fakeEndpoint(3, engine), fakeEndpoint(4, held))
    const { out } = await run('endpoint ls -o wide --no-headers --sort-by id')
    const [, , third, fourth] = out.split('\n')
    assert.match(third ?? '', / engine +shop-web-1 +busybox +shop +web +cke1 +ck\S+ +- /)
    assert.match(fourth ?? '', / held +- +- +- +- +- +- +- /)
    const { spec, status } = JSON.parse((await run('endpoint get ep0004 -o json')).out)
    assert.deepEqual([spec.attachment, spec.netns, status.device], ['held', undefined, undefined])
  })

  test('-o json is one document: a list, or the object', async () => {
    const list = JSON.parse((await run('network ls -o json')).out)
    assert.equal(list.apiVersion, 'v1')
    assert.equal(list.kind, 'NetworkList')
    const one = JSON.parse((await run('network get blue -o json')).out)
    assert.deepEqual(list.items, [one])
    assert.equal(one.kind, 'Network')
    const both = JSON.parse((await run('endpoint get web1 web2 -o json')).out)
    assert.equal(both.items.length, 2)
  })

  test('-o yaml says the same as -o json', async () => {
    const { parse } = await import('yaml')
    const yaml = parse((await run('endpoint ls -o yaml')).out)
    assert.deepEqual(yaml, JSON.parse((await run('endpoint ls -o json')).out))
  })

  test('colour needs a terminal, and yields to NO_COLOR', async () => {
    const terminal = { stdoutIsTerminal: true }
    const green = '\u001b[32malive\u001b[0m'
    assert.ok((await run('host ls', terminal)).out.includes(green))
    const none = { ...terminal, env: { NO_COLOR: '1' } }
    assert.ok(!(await run('host ls', none)).out.includes('\u001b'))
    assert.ok(!(await run('host ls --color never', terminal)).out.includes('\u001b'))
  })

  test('--watch tells changes until Ctrl-C, one JSON object a line', async () => {
    const interrupted = new AbortController()
    const lines: { event: string; object: { metadata: { id: string } } }[] = []
    const writeOut = async (text: string): Promise<void> => {
      lines.push(JSON.parse(text))
      if (lines.length === 1) {
        control.networks.push(fakeNetwork('red', 2))
        for (const listener of cli.listeners) listener({ kind: 'network', id: 'net00002' })
      } else interrupted.abort()
    }
    const { exit, err } = await run('network ls -w -o json', {
      writeOut,
      signal: interrupted.signal,
    })
    assert.deepEqual({ exit, err }, { exit: 130, err: '' })
    assert.deepEqual(
      lines.map(({ event }) => event),
      ['reset', 'put'],
    )
    assert.equal(lines[1]?.object.metadata.id, 'net00002')
  })

  test('--watch prints the whole table anew, and ends with 6 when the daemon does', async () => {
    const tables: string[] = []
    const writeOut = async (text: string): Promise<void> => {
      tables.push(text)
      if (tables.length === 1) {
        control.networks.pop()
        for (const listener of cli.listeners) listener({ kind: 'network', id: 'net00001' })
      } else void cli.server[Symbol.asyncDispose]()
    }
    const { exit, err } = await run('network ls --watch -o name', { writeOut })
    assert.equal(exit, 6)
    assert.match(err, /the connection broke/)
    assert.deepEqual(tables, ['blue\n\n', '\n'])
  })

  test('a long list is read page by page', async () => {
    for (let i = 3; i <= 2500; i++) control.endpoints.push(fakeEndpoint(i))
    const { out } = await run('endpoint ls -q')
    assert.equal(out.trim().split('\n').length, 2500)
  })
})

describe('what goes wrong', () => {
  for (const { line, exit, err } of [
    { line: 'network get nope', exit: 3, err: 'error: Cannot find the network "nope"\n' },
    { line: 'network rm nope', exit: 3, err: 'error: Cannot find the network "nope"\n' },
    { line: 'detach nope', exit: 3, err: 'error: Cannot find the endpoint "nope"\n' },
    {
      line: 'network create blue --subnet 10.81.0.0/16',
      exit: 4,
      err: 'error: Cannot create network blue: the name is taken\n',
    },
    {
      line: 'attach blue',
      exit: 2,
      err: 'error: Cannot attach: exactly one of --netns and --pid is needed\nhint: carrick attach blue --netns /run/netns/NAME\n',
    },
    {
      line: 'host rm h1',
      exit: 2,
      err: 'error: Cannot ask without a terminal: this needs --yes\n',
    },
    {
      line: 'network ls --sort-by nmae',
      exit: 2,
      err: 'error: There is no column "nmae": perhaps "name" was meant\n',
    },
    {
      line: 'netwrok ls',
      exit: 2,
      err: "error: unknown command 'netwrok'\nhint: perhaps network\n",
    },
    {
      line: 'network ls --wat',
      exit: 2,
      err: "error: unknown option '--wat'\nhint: perhaps --watch\n",
    },
    {
      line: 'status --timeout 5x',
      exit: 2,
      err: "error: option '--timeout <duration>' argument '5x' is invalid. A duration is written like 1m30s.\nhint: carrick status --help\n",
    },
    {
      line: 'network create',
      exit: 2,
      err: "error: missing required argument 'name'\nhint: carrick network create --help\n",
    },
  ]) {
    test(`carrick ${line} ends with ${exit}`, async () => {
      assert.deepEqual(await run(line), { exit, out: '', err })
    })
  }

  for (const { code, exit } of [
    { code: 'invalid', exit: 2 },
    { code: 'unsupported', exit: 2 },
    { code: 'not-found', exit: 3 },
    { code: 'conflict', exit: 4 },
    { code: 'already-exists', exit: 4 },
    { code: 'exhausted', exit: 4 },
    { code: 'unauthenticated', exit: 5 },
    { code: 'forbidden', exit: 5 },
    { code: 'unavailable', exit: 6 },
    { code: 'timeout', exit: 6 },
    { code: 'kernel', exit: 1 },
  ] as const) {
    test(`an attach that fails with ${code} ends with ${exit} and the hint`, async () => {
      control.fail('attach', new NetworkError(code, 'Cannot attach: no', { hint: 'carrick x' }))
      assert.deepEqual(await run('attach blue --pid 1'), {
        exit,
        out: '',
        err: 'error: Cannot attach: no\nhint: carrick x\n',
      })
    })
  }

  test('what the daemon did not foresee ends with 1, and -v shows the request', async () => {
    control.fail('attach', new TypeError('secret'))
    const { exit, err } = await run('attach blue --pid 1 -v')
    assert.equal(exit, 1)
    assert.match(err, /^error: The daemon failed unexpectedly.*\nrequest: [0-9a-f-]{36}\n$/)
  })

  test('no daemon: 6, with a way to start it', async () => {
    const { exit, err } = await run(`network ls --socket ${cli.server.path}.none`)
    assert.equal(exit, 6)
    assert.match(
      err,
      /^error: Cannot reach the daemon at .*sock.none: there is no such socket\nhint: /,
    )
  })

  test('some of several references: the others are done', async () => {
    const { exit, out, err } = await run('detach web1 nope web2')
    assert.deepEqual({ exit, out }, { exit: 3, out: 'ep0001\nep0002\n' })
    assert.match(err, /"nope"/)
  })

  test('a host is removed only after a yes', async () => {
    const terminal = { stdinIsTerminal: true, stderrIsTerminal: true }
    await run('host rm h1', terminal)
    assert.equal(control.listHosts().length, 1)
    assert.equal((await run('host rm h1', { ...terminal, ask: async () => 'y' })).out, 'h1\n')
    assert.equal(control.listHosts().length, 0)
  })

  test('Ctrl-C ends with 130', async () => {
    const interrupted = new AbortController()
    control.waitSettled = () => {
      interrupted.abort()
      return new Promise(() => {})
    }
    const { exit, out } = await run('status --wait', { signal: interrupted.signal })
    assert.deepEqual({ exit, out }, { exit: 130, out: '' })
  })

  test('Ctrl-C during a change says that it may be done', async () => {
    const interrupted = new AbortController()
    control.attach = () => {
      interrupted.abort()
      return new Promise(() => {})
    }
    const { exit, err } = await run('attach blue --pid 1', { signal: interrupted.signal })
    assert.equal(exit, 130)
    assert.equal(err, 'interrupted: the daemon may still do what it was asked\n')
  })

  test('a token file that is not there is wrong use', async () => {
    const readText = () => Promise.reject(Object.assign(new Error(), { code: 'ENOENT' }))
    const { exit, err } = await run('join h1:7441 --token-file /none', { readText })
    assert.deepEqual(
      { exit, err },
      { exit: 2, err: 'error: Cannot read the token from "/none": ENOENT\n' },
    )
  })

  test('a wrong token ends with 5', async () => {
    const { exit } = await run('join h1:7441 --token-file f', { readText: async () => 'x' })
    assert.equal(exit, 5)
  })
})
