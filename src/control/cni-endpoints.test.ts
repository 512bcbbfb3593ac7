import { afterEach, beforeEach, describe, test } from 'bun:test'
import assert from 'node:assert/strict'
import { Scene } from '../agent/scene.ts'
import { isNetworkError, NetworkError } from '../lib/errors.ts'
import { hostPortsText } from '../model/publication.ts'
import { prefix } from '../net/testing.ts'
import type { CniAttachSpec } from './cni-control.ts'
import { drive, Member } from './member.ts'

let scene: Scene
let member: Member

beforeEach(async () => {
  scene = new Scene()
  member = await Member.start(scene, { state: 'a' })
  const networks = [
    { name: 'blue', subnets: ['10.2.0.0/24', 'fd02::/64'] },
    { name: 'small', subnets: ['10.3.0.0/29'] },
  ]
  for (const spec of networks) await drive(scene, member.control.createNetwork(spec))
})
afterEach(async () => {
  await member.stop()
  scene[Symbol.dispose]()
})

const place = (container: string, ifname = 'eth0', network = 'cknet') => ({
  network,
  container,
  ifname,
})

const attach = (
  container: string,
  spec: Partial<CniAttachSpec> = {},
  attachment = place(container),
) => {
  const whole = { attachment, network: 'blue', netns: `/run/netns/${container}`, ...spec }
  return drive(scene, member.control.attachCni(whole))
}

const refused = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof NetworkError, String(error))
  assert.equal(error.code, code, error.message)
  assert.match(error.message, message)
  return true
}

test('an attachment is one commit, found by what the runtime calls it', async () => {
  const before = member.agent.journal.sequence
  const { endpoint } = await attach('c1')
  assert.equal(member.agent.journal.sequence, before + 1)
  assert.equal(member.control.cniEndpoint(place('c1'))?.id, endpoint.id)
  assert.equal(member.control.cniEndpoint(place('c1', 'eth1')), undefined)
  assert.equal(member.control.cniEndpoint(place('c1', 'eth0', 'other')), undefined)
  assert.deepEqual(endpoint.labels, {
    'carrick/cni-network': 'cknet',
    'carrick/cni-container': 'c1',
    'carrick/cni-ifname': 'eth0',
  })
})

test('a second ADD is refused, and leaves the first one alone', async () => {
  const { endpoint } = await attach('c1')
  await assert.rejects(attach('c1'), refused('already-exists', /already exists, with 10\.2\.0\./))
  assert.deepEqual(member.control.cniEndpoint(place('c1')), endpoint)
})

test('of equal requests at the same time one wins', async () => {
  const ended = await Promise.allSettled(Array.from({ length: 5 }, () => attach('c1')))
  assert.equal(ended.filter(({ status }) => status === 'fulfilled').length, 1)
  for (const each of ended) {
    if (each.status === 'rejected') assert.ok(isNetworkError(each.reason, 'already-exists'))
  }
  assert.equal(member.control.listEndpoints().length, 1)
})

test('the second of equal requests wins when the first one fails', async () => {
  member.ports.refusal = new NetworkError('kernel', 'Cannot do it')
  const [first, second] = await Promise.allSettled([attach('c1'), attach('c1')])
  assert.deepEqual([first.status, second.status], ['rejected', 'fulfilled'])
  assert.equal(member.control.listEndpoints().length, 1)
})

test('a container may be in one network twice', async () => {
  await attach('c1', { preferredName: 'web' })
  const { endpoint } = await attach('c1', { preferredName: 'web' }, place('c1', 'eth1'))
  assert.equal(endpoint.name, undefined)
  assert.equal(endpoint.labels['carrick/dns-names'], 'web')
  assert.equal(endpoint.order, 1)
})

test('what was refused leaves nothing behind, and may be asked again', async () => {
  member.ports.gone.add('/run/netns/c1')
  await assert.rejects(attach('c1'), refused('not-found', /no namespace/))
  member.ports.gone.clear()
  member.ports.refusal = new NetworkError('kernel', 'Cannot do it')
  await assert.rejects(attach('c1'), refused('kernel', /Cannot do it/))
  assert.equal(member.control.listEndpoints().length, 0)
  await attach('c1')
})

test('a detach waits for the attach that is under way', async () => {
  const attached = attach('c1')
  await drive(scene, member.control.detachCni(place('c1')))
  await attached
  assert.equal(member.control.cniEndpoint(place('c1')), undefined)
  await drive(scene, member.control.detachCni(place('c1')))
})

test('names and addresses are given as wished', async () => {
  const { endpoint } = await attach('c1', {
    preferredName: 'web',
    names: ['web', 'db', 'web.shop'],
    families: [4],
    within: [prefix('10.2.0.64/28')],
    noDefaultRoute: true,
    mtuBytes: 1400,
    routes: [{ to: prefix('192.0.2.0/24') }],
  })
  assert.equal(endpoint.name, 'web')
  assert.equal(endpoint.labels['carrick/dns-names'], 'db,web.shop')
  const [address, ...others] = endpoint.addresses
  assert.match(address ?? '', /^10\.2\.0\.(6[4-9]|7\d)$/)
  assert.deepEqual(others, [])
  assert.equal(endpoint.defaultRoute, false)
  assert.equal(endpoint.mtuBytes, 1400)
  assert.deepEqual(endpoint.routes, [{ to: '192.0.2.0/24' }])
})

test('a static address that somebody has is refused with its holder', async () => {
  await attach('c1', { addresses: ['10.2.0.50'], preferredName: 'web' })
  await assert.rejects(
    attach('c2', { addresses: ['10.2.0.50'] }),
    refused('already-exists', /10\.2\.0\.50: endpoint web has it/),
  )
  await attach('default-c3', { addresses: ['10.2.0.51'] })
  await assert.rejects(
    attach('c2', { addresses: ['10.2.0.51'] }),
    refused('already-exists', /10\.2\.0\.51: container default-c3 has it/),
  )
})

test('attachments survive the daemon', async () => {
  const { endpoint } = await attach('c1')
  await member.stop()
  member = await Member.start(scene, { state: 'a' })
  assert.equal(member.control.cniEndpoint(place('c1'))?.id, endpoint.id)
})

test('an attach waits for what a detach has still to do', async () => {
  await attach('c1')
  const order: string[] = []
  const gate = Promise.withResolvers<void>()
  const detached = member.control.detachCni(place('c1'), async (stood) => {
    order.push(`after ${stood?.ifname}`)
    await gate.promise
    order.push('done')
  })
  const attached = attach('c1').then(() => order.push('attached'))
  await scene.clock.advance(100)
  gate.resolve()
  await drive(scene, Promise.all([detached, attached]))
  assert.deepEqual(order, ['after eth0', 'done', 'attached'])
})

test('what is neither listed nor young is stale, in this network only', async () => {
  await attach('old')
  await attach('kept')
  await attach('other', {}, place('other', 'eth0', 'othernet'))
  await scene.clock.advance(60_000)
  const until = scene.clock.wallMs() - 10_000
  await attach('young')
  const valid = [
    { container: 'kept', ifname: 'eth0' },
    { container: 'unknown', ifname: 'eth0' },
  ]
  assert.deepEqual(member.control.staleCni('cknet', valid, until), [place('old')])
  assert.equal(member.control.cniEndpoints().length, 4)
  assert.equal(member.control.cniEndpoints('cknet').length, 3)
})

test('a network without a free address is an obstacle', async () => {
  const small = member.control.getNetwork('small')
  assert.equal(member.control.obstacle(small), undefined)
  for (let i = 0; ; i++) {
    try {
      await attach(`c${i}`, { network: 'small' })
    } catch (error) {
      assert.ok(isNetworkError(error, 'exhausted'), String(error))
      break
    }
  }
  assert.match(member.control.obstacle(small) ?? '', /no free address left in 10\.3\.0\.0\/29/)
  assert.equal(member.control.obstacle(member.control.getNetwork('blue')), undefined)
})

describe('ports that a later interface takes over', () => {
  const ports = () =>
    member.control.listPublications().map(({ endpointId, networkId, ...port }) => {
      const { name } = member.control.getNetwork(networkId)
      return `${hostPortsText(port)} ${name} ${member.control.getEndpoint(endpointId).ifname}`
    })
  const second = () => attach('c1', { publish: ['8080:80', '53:53/udp'] }, place('c1', 'eth1'))
  const first = (spec: Partial<CniAttachSpec> = {}) => {
    const movePorts = member.control.listPublications().map(({ id }) => id)
    const whole = { network: 'small', defaultRoute: true, movePorts, ...spec }
    return attach('c1', whole, place('c1', 'eth0', 'other'))
  }

  test('move in the commit of its attach, and keep their ids and what holds them', async () => {
    const { publications } = await second()
    const held = [...member.ports.heldPorts].sort()
    const before = member.agent.journal.sequence
    const made = await first()
    assert.equal(made.revision, member.agent.journal.sequence)
    assert.ok(made.revision <= before + 4) // its own, one that makes room, and two of each port
    assert.deepEqual(ports(), ['8080/tcp small eth0', '53/udp small eth0'])
    assert.deepEqual(
      made.publications.map(({ id }) => id),
      publications.map(({ id }) => id),
    )
    assert.deepEqual([...member.ports.heldPorts].sort(), held)
    await drive(scene, member.control.detachCni(place('c1', 'eth1')))
    assert.deepEqual(ports(), ['8080/tcp small eth0', '53/udp small eth0'])
    await drive(scene, member.control.detachCni(place('c1', 'eth0', 'other')))
    assert.deepEqual([ports(), [...member.ports.heldPorts]], [[], []])
  })

  for (const { what, spec, refusal } of [
    { what: 'the kernel refuses it', refusal: new NetworkError('kernel', 'Cannot do it') },
    { what: 'nobody waits for it any more', spec: { signal: AbortSignal.abort() } },
    { what: 'its address is none of the network', spec: { addresses: ['10.9.9.9'] } },
    { what: 'another of its ports is taken', spec: { publish: ['8080:81'] } },
  ]) {
    test(`stay where they were when ${what}`, async () => {
      const { publications } = await second()
      const held = [...member.ports.heldPorts].sort()
      if (refusal !== undefined) member.ports.refusal = refusal
      await assert.rejects(first(spec))
      assert.deepEqual(member.control.listPublications(), publications)
      assert.deepEqual([...member.ports.heldPorts].sort(), held)
      assert.deepEqual(
        member.control.listEndpoints().map(({ ifname }) => ifname),
        ['eth1'],
      )
    })
  }

  test('that went meanwhile, or are another container’s, are left alone', async () => {
    const { publications } = await attach('c2', { publish: ['8081:80'] })
    const movePorts = [...publications.map(({ id }) => id), '01arz3ndektsv4rrffq69g5fav']
    await first({ movePorts })
    assert.deepEqual(ports(), ['8081/tcp blue eth0'])
  })
})
