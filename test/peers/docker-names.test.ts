/** Names, hosts files and resolvers in containers of a real engine: rows D1 to D5 of the acceptance list. */

import assert from 'node:assert/strict'
import { RCODE, readQuery, writeAnswer } from '../../src/dns/message.ts'
import type { DockerEngine } from '../../src/lab/docker-engine.ts'
import { ip } from '../../src/net/testing.ts'
import { addressOf } from '../cluster/harness.ts'
import { openSocket } from '../kernel/datapath/sockets.ts'
import { inside, OURS, pings, run, settingsOf, sharedEngines } from './docker-harness.ts'

const withEngine = sharedEngines({ hosts: 2, members: 1 })
/** Of the second host, which is no member: the world outside. */
const WORLD = 'h2'
const NET = [...OURS, '--subnet', '10.88.0.0/16', 'n1'] as const
/** Where the engine's own resolver is, in every container. */
const ENGINE_RESOLVER = '127.0.0.11'

withEngine('D1: a container under all its names, and after a restart', async ({ docker }) => {
  await docker.docker(...NET)
  await run(docker, 'c1', '--network', 'n1', '--network-alias', 'www')
  await run(docker, 'c2', '--network', 'n1', '--link', 'c1:linked')
  const id = await docker.docker('inspect', '--format', '{{.Id}}', 'c1')
  const names = ['c1', id.slice(0, 12), 'www', 'c1.n1', 'www.n1', 'linked']
  const first = (await settingsOf(docker, 'c1', 'n1')).IPAddress
  for (const name of names) assert.deepEqual(await lookup(docker, 'c2', name), [first], name)
  assert.match(await inside(docker, 'c2', 'nslookup', first), /name = c1\.n1/)

  // Its address is somebody else's when it starts again.
  await docker.docker('stop', '-t', '0', 'c1')
  await run(docker, 'heir', '--network', 'n1', '--ip', first)
  await docker.docker('start', 'c1')
  const second = (await settingsOf(docker, 'c1', 'n1')).IPAddress
  assert.notEqual(second, first)
  for (const name of names) assert.deepEqual(await lookup(docker, 'c2', name), [second], name)
  assert.deepEqual(await lookup(docker, 'c2', 'heir'), [first])
  assert.match(await inside(docker, 'c2', 'nslookup', second), /name = c1\.n1/)
  for (const name of ['www', 'linked']) assert.ok(await pings(docker, 'c2', name), name)
})

withEngine('D2: one alias of two containers', async ({ docker }) => {
  await docker.docker(...NET)
  for (const name of ['c1', 'c2']) await run(docker, name, '--network', 'n1', ...alias('www'))
  await run(docker, 'c3', '--network', 'n1')
  const [one, two] = [await settingsOf(docker, 'c1', 'n1'), await settingsOf(docker, 'c2', 'n1')]
  const both = [one.IPAddress, two.IPAddress].sort()
  assert.deepEqual(await lookup(docker, 'c3', 'www'), both)
  await docker.docker('rm', '-f', 'c1')
  assert.deepEqual(await lookup(docker, 'c3', 'www'), [two.IPAddress])
})

withEngine('D3: garbage sent to the engine’s resolver', async ({ docker }) => {
  await docker.docker(...NET)
  await run(docker, 'c1', '--network', 'n1')
  await run(docker, 'c2', '--network', 'n1')
  using socket = openSocket({ path: `/proc/${await docker.pidOf('c2')}/ns/net` }, 'udp', ANY)
  assert.ok(socket.connect(ip(ENGINE_RESOLVER), 53))
  for (const bytes of [[0], Array(12).fill(0xff), Array(600).fill(0xc0), [...'GET / '].map(code)]) {
    socket.send(Uint8Array.from(bytes))
  }
  const { IPAddress } = await settingsOf(docker, 'c1', 'n1')
  assert.deepEqual(await lookup(docker, 'c2', 'c1'), [IPAddress])
  assert.ok(await pings(docker, 'c2', 'c1'))
  await run(docker, 'c3', '--network', 'n1')
})

withEngine('D4: the files of hosts and resolvers', async ({ docker }) => {
  await docker.docker(...NET)
  const names = ['--hostname', 'box', '--dns-search', 'lab.example', '--add-host', 'far:192.0.2.9']
  await run(docker, 'c1', '--network', 'n1', ...names)
  const { IPAddress } = await settingsOf(docker, 'c1', 'n1')
  const hosts = await inside(docker, 'c1', 'cat', '/etc/hosts')
  assert.match(hosts, new RegExp(`^${IPAddress}\\s+box$`, 'm'))
  assert.match(hosts, /^192\.0\.2\.9\s+far$/m)
  const resolvers = await inside(docker, 'c1', 'cat', '/etc/resolv.conf')
  assert.deepEqual(resolvers.match(/^nameserver .*$/gm), [`nameserver ${ENGINE_RESOLVER}`])
  assert.match(resolvers, /^search lab\.example$/m)
})

withEngine('D5: a name of the world, asked through our way out', async ({ docker, cluster }) => {
  await docker.docker(...NET)
  const world = addressOf(cluster.lab, WORLD)
  await run(docker, 'c1', '--network', 'n1', '--dns', world)
  const { IPAddress } = await settingsOf(docker, 'c1', 'n1')
  using server = openSocket({ path: cluster.lab.netns(WORLD) }, 'udp', ANY)
  server.bind(ANY, 53)
  const told = lookup(docker, 'c1', 'far.example')
  const { bytes, from = '' } = server.receiveFrom() ?? {}
  const read = readQuery(bytes ?? new Uint8Array())
  assert.ok(read?.kind === 'query')
  assert.equal(read.query.question.name, 'far.example')
  const records = [{ type: 'A', data: ip('192.0.2.77') }] as const
  const answer = { rcode: RCODE.NOERROR, records, ttlSeconds: 5, authoritative: true }
  const [address = '', port] = from.split(' ')
  server.sendTo(writeAnswer(read.query, answer, 512), ip(address), Number(port))
  assert.deepEqual(await told, ['192.0.2.77'])
  // Its own names are told by the engine, and asked of nobody.
  assert.deepEqual(await lookup(docker, 'c1', 'c1'), [IPAddress])
  assert.equal(server.timeout(1).receiveFrom(), undefined)
})

const ANY = ip('0.0.0.0')

function alias(name: string): readonly string[] {
  return ['--network-alias', name]
}

function code(letter: string): number {
  return letter.charCodeAt(0)
}

/** Every IPv4 address a container is told for a name, in order; none when the name is not known. */
async function lookup(
  docker: DockerEngine,
  from: string,
  name: string,
): Promise<readonly string[]> {
  const { stdout } = await docker.run('exec', from, 'nslookup', '-type=a', name)
  const [, ...answers] = stdout.split(/^Name:/m)
  return answers.flatMap((text) => /Address:?[ \t\d]*[: \t](\S+)/.exec(text)?.[1] ?? []).sort()
}
