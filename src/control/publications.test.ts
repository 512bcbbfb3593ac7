/** Published ports as use cases: over a journal, a replica and a memory store, with a kernel that agrees. */

import { afterEach, beforeEach, describe, test } from 'bun:test'
import assert from 'node:assert/strict'
import { Scene } from '../agent/scene.ts'
import { NetworkError } from '../lib/errors.ts'
import { CNI_LABELS, POD_LABELS } from '../model/cni.ts'
import { HOST_RECORD_ROOTS, keys } from '../model/keys.ts'
import { hostPortsText } from '../model/publication.ts'
import { drive, FakePorts, Member } from './member.ts'

let scene: Scene
let a: Member
let members: Member[] = []

beforeEach(async () => {
  scene = new Scene()
  members = []
  a = await start('a')
  for (const spec of [
    { name: 'blue', subnets: ['10.9.0.0/24', 'fd09::/64'], carrier: 'vxlan' as const },
    { name: 'four', subnets: ['10.8.0.0/24'] },
    { name: 'quiet', subnets: ['10.7.0.0/24'], internal: true },
  ]) {
    await drive(scene, a.control.createNetwork(spec))
  }
})
afterEach(async () => {
  for (const member of members.splice(0)) await member.stop()
  scene[Symbol.dispose]()
})

async function start(state: string): Promise<Member> {
  const member = await Member.start(scene, { state })
  members.push(member)
  return member
}

const refused = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof NetworkError, String(error))
  assert.equal(error.code, code, error.message)
  assert.match(error.message, message)
  return true
}

const ports = (member = a): string[] => member.control.listPublications().map(hostPortsText).sort()
const held = (member = a): string[] => [...member.ports.heldPorts].sort()
const publish = (endpoint: string, wish: string) => drive(scene, a.control.publish(endpoint, wish))
const keysIn = (member = a): string[] =>
  HOST_RECORD_ROOTS.flatMap((root) => member.agent.journal.list(root)).map(({ key }) => key)

describe('with an attach', () => {
  test('endpoint and ports are one commit, and go in one', async () => {
    const before = a.agent.journal.sequence
    const publish = ['8080:80', '127.0.0.1:53:53/udp', '9000-9002:9000-9002', '0:443']
    const { endpoint, publications, revision } = await a.attach('blue', { publish, name: 'web' })
    assert.equal(revision, before + 1)
    assert.equal(a.agent.journal.sequence, before + 1)
    assert.deepEqual(publications.map(hostPortsText), [
      ...['8080/tcp', '127.0.0.1:53/udp', '9000-9002/tcp', '32768/tcp'],
    ])
    assert.deepEqual(a.control.publicationsOf(endpoint.id), publications)
    assert.deepEqual(held(), [
      ...['tcp 32768', 'tcp 8080', 'tcp 9000', 'tcp 9001', 'tcp 9002', 'udp 53 127.0.0.1'],
    ])
    await scene.clock.advance(100)
    const { items } = await a.agent.store.range({ prefix: keys.publications(endpoint.networkId) })
    assert.equal(items.length, 4)
    await a.detach('web')
    assert.equal(a.agent.journal.sequence, before + 2)
    assert.deepEqual([keysIn(), ports(), held()], [[], [], []])
  })

  test('when the kernel refuses, both go again and the ports are free', async () => {
    a.ports.refusal = new NetworkError('timeout', 'Cannot settle')
    await assert.rejects(a.attach('blue', { publish: ['8080:80'] }), refused('timeout', /settle/))
    assert.deepEqual([keysIn(), held()], [[], []])
    await a.attach('blue', { publish: ['8080:80'] })
  })

  test('when no address is left the ports are free again', async () => {
    const addresses = ['10.9.0.9']
    await a.attach('blue', { addresses })
    await assert.rejects(
      a.attach('blue', { addresses, publish: ['8080:80', '0:81'] }),
      refused('already-exists', /10\.9\.0\.9/),
    )
    assert.deepEqual(held(), [])
  })

  test('every wrong port is told, and nothing is held', async () => {
    const publish = ['8000-8010:80', '80:80', '70000:80', '80:81', '1:2/tpc']
    await assert.rejects(a.attach('blue', { publish }), (error) => {
      assert.ok(error instanceof NetworkError)
      assert.equal(error.code, 'invalid')
      assert.deepEqual(
        error.fields.map(({ pointer }) => pointer),
        ['/publish/0', '/publish/2', '/publish/3', '/publish/4'],
      )
      return true
    })
    assert.deepEqual([keysIn(), held()], [[], []])
  })

  test('a port that a program has is refused with its name, and the others are let go', async () => {
    a.ports.takenPorts.set('tcp 8443', 'nginx (pid 4711)')
    await assert.rejects(
      a.attach('blue', { publish: ['8080:80', '8443:443'] }),
      refused('conflict', /port 8443\/tcp: it is in use by nginx \(pid 4711\)/),
    )
    assert.deepEqual([keysIn(), held()], [[], []])
  })

  test('without ports nothing is held and nothing is asked', async () => {
    const { publications } = await a.attach('quiet')
    assert.deepEqual([publications, held()], [[], []])
  })

  test('two at once want one port: one gets it', async () => {
    const both = [1, 2].map((n) =>
      a.control.attach({ network: 'blue', netns: `/run/netns/${n}`, publish: ['8080:80'] }),
    )
    const [first, second] = await drive(scene, Promise.allSettled(both))
    assert.equal(first?.status, 'fulfilled')
    assert.ok(second?.status === 'rejected')
    refused('already-exists', /an endpoint being attached|of network blue/)(second.reason)
    assert.deepEqual(ports(), ['8080/tcp'])
  })

  test('an attach that comes with the detach of the one before gets its port', async () => {
    await a.attach('blue', { publish: ['8080:80'], name: 'old' })
    const detach = a.control.detach('old')
    await new Promise((resolve) => setImmediate(resolve))
    const attach = a.control.attach({
      network: 'blue',
      netns: '/run/netns/n',
      publish: ['8080:81'],
    })
    await drive(scene, Promise.all([detach, attach]))
    assert.deepEqual(ports(), ['8080/tcp'])
    assert.deepEqual(held(), ['tcp 8080'])
  })
})

describe('one by one', () => {
  beforeEach(async () => {
    await a.attach('blue', { name: 'web' })
    await a.attach('four', { name: 'v4' })
    await a.attach('quiet', { name: 'shy' })
  })

  test('a port is published and taken back, and the port is free when that is done', async () => {
    const { publication, revision } = await publish('web', '[::1]:0:80-81')
    assert.equal(revision, a.agent.journal.sequence)
    assert.equal(publication.count, 2)
    assert.deepEqual(held(), ['tcp 32768 ::1', 'tcp 32769 ::1'])
    assert.deepEqual(a.control.getPublication(publication.id), publication)
    await drive(scene, a.control.unpublish(publication.id))
    assert.deepEqual([ports(), held()], [[], []])
    await drive(scene, a.control.unpublish(publication.id))
    await assert.rejects(
      drive(scene, a.control.unpublish('nope')),
      refused('not-found', /publication "nope"/),
    )
  })

  for (const { first, second, taken } of [
    { first: '8080:80', second: '8080:81', taken: true },
    { first: '8080:80', second: '8080:80/udp', taken: false },
    { first: '127.0.0.1:8080:80', second: '8080:80', taken: true },
    { first: '8080:80', second: '[::1]:8080:80', taken: true },
    { first: '127.0.0.1:8080:80', second: '127.0.0.2:8080:80', taken: false },
    { first: '127.0.0.1:8080:80', second: '127.0.0.1:8080:80', taken: true },
    { first: '9000-9002:1-3', second: '9002-9003:1-2', taken: true },
    { first: '9000-9002:1-3', second: '9003:1', taken: false },
  ]) {
    test(`${second} beside ${first} is ${taken ? 'refused' : 'published'}`, async () => {
      await publish('web', first)
      const before = held()
      if (!taken) {
        await publish('web', second)
        return
      }
      await assert.rejects(
        publish('v4', second.replace('[::1]:', '127.0.0.1:')),
        refused('already-exists', /is published for endpoint web of network blue/),
      )
      assert.deepEqual(held(), before)
    })
  }

  for (const { name, endpoint, wish, code, message } of [
    {
      ...{ name: 'an internal network', endpoint: 'shy', wish: '80:80', code: 'invalid' },
      message: /network quiet is internal/,
    },
    {
      ...{ name: 'an IPv6 address of an IPv4 endpoint', endpoint: 'v4', wish: '[::1]:80:80' },
      ...{ code: 'invalid', message: /::1 is an IPv6 address, and the endpoint has IPv4 only/ },
    },
    {
      ...{ name: 'an endpoint that is not there', endpoint: 'nope', wish: '80:80' },
      ...{ code: 'not-found', message: /endpoint "nope"/ },
    },
    {
      ...{ name: 'a protocol that is not there', endpoint: 'web', wish: '80:80/upd' },
      ...{ code: 'invalid', message: /perhaps "udp"/ },
    },
  ]) {
    test(`${name} is refused`, async () => {
      await assert.rejects(publish(endpoint, wish), refused(code, message))
      assert.deepEqual(held(), [])
    })
  }

  test('when the kernel refuses, it goes again', async () => {
    a.ports.refusal = new NetworkError('kernel', 'Cannot put the element')
    await assert.rejects(publish('web', '80:80'), refused('kernel', /element/))
    assert.deepEqual([ports(), held()], [[], []])
  })

  test('another host may look, and neither publish nor take back', async () => {
    const { publication } = await publish('web', '80:80')
    const b = await start('b')
    await scene.clock.advance(1_000)
    assert.deepEqual(ports(b), ['80/tcp'])
    assert.deepEqual(held(b), [])
    await assert.rejects(
      drive(scene, b.control.publish('web', '81:80')),
      refused('conflict', /lives on host a, and is published there/),
    )
    await assert.rejects(
      drive(scene, b.control.unpublish(publication.id)),
      refused('conflict', /published by host a, and is taken back there/),
    )
    await drive(scene, b.control.createNetwork({ name: 'red', subnets: ['10.6.0.0/24'] }))
    await b.attach('red', { publish: ['80:80'] })
    assert.deepEqual(held(b), ['tcp 80'])
  })

  test('a network is kept while a port leads into it, and the port is named', async () => {
    await publish('web', '127.0.0.1:80:80')
    await assert.rejects(
      drive(scene, a.control.removeNetwork('blue')),
      refused(
        'conflict',
        /1 endpoint uses it, on a, with published ports: 127\.0\.0\.1:80\/tcp of a/,
      ),
    )
  })

  test('a host that is removed takes its ports along', async () => {
    await publish('web', '80:80')
    const b = await start('b')
    await scene.clock.advance(1_000)
    members.splice(members.indexOf(a), 1)
    await a.kill()
    await scene.clock.advance(60_000)
    await drive(scene, b.control.removeHost('a'))
    await scene.clock.advance(1_000)
    assert.deepEqual(ports(b), [])
    assert.deepEqual(b.control.listEndpoints(), [])
  })
})

test('after a start the ports are held again; one that was taken is told, and tried again', async () => {
  await a.attach('blue', { publish: ['8080:80', '8081:81'] })
  const { store } = a.agent
  members.splice(members.indexOf(a), 1)
  await a.stop()
  const again = new FakePorts()
  again.takenPorts.set('tcp 8080', 'nginx (pid 4711)')
  a = await drive(scene, Member.start(scene, { state: 'a', store, ports: again }))
  members.push(a)
  assert.deepEqual(held(), ['tcp 8081'])
  const [failure, ...others] = a.control.status().failures
  assert.deepEqual(others, [])
  assert.match(failure?.message ?? '', /8080\/tcp: it is in use by nginx \(pid 4711\)/)
  assert.equal(failure?.code, 'conflict')
  assert.deepEqual(ports(), ['8080/tcp', '8081/tcp'])
  await scene.clock.advance(4_000)
  assert.equal(a.control.status().failures[0]?.attempts, 3)
  await assert.rejects(
    a.attach('blue', { publish: ['8080:80'], netns: '/run/netns/new' }),
    refused('already-exists', /8080\/tcp is published for endpoint/),
  )
  again.takenPorts.clear()
  await scene.clock.advance(30_000)
  assert.deepEqual(held(), ['tcp 8080', 'tcp 8081'])
  assert.deepEqual(a.control.status().failures, [])
})

describe('of a container of Podman', () => {
  const podman = {
    [CNI_LABELS.network]: 'blue',
    [CNI_LABELS.container]: 'c1',
    [CNI_LABELS.ifname]: 'eth0',
    [POD_LABELS.name]: 'web',
  }
  const run = (labels: Readonly<Record<string, string>>, publish: readonly string[]) =>
    a.attach('blue', { ownLabels: labels, publish, netns: `/run/netns/${publish}` })

  test('ports are looked at and left to Podman, which holds them a moment later', async () => {
    await run(podman, ['8080:80'])
    assert.deepEqual([ports(), held()], [['8080/tcp'], []])
    await assert.rejects(
      run({ ...podman, [CNI_LABELS.container]: 'c2' }, ['8080:81']),
      refused('already-exists', /8080\/tcp is published for/),
    )
    a.ports.takenPorts.set('tcp 8081', 'nginx (pid 4711)')
    await assert.rejects(run(podman, ['8081:81']), refused('conflict', /nginx/))
  })

  test('ports that Podman holds already are no obstacle, then and after a start', async () => {
    a.ports.takenPorts.set('tcp 8080', 'conmon (pid 4711)')
    await run(podman, ['8080:80'])
    const pod = { ...podman, [POD_LABELS.namespace]: 'shop' }
    await assert.rejects(run(pod, ['8080:80']), refused('already-exists', /8080/))
    const { store } = a.agent
    members.splice(members.indexOf(a), 1)
    await a.stop()
    const again = new FakePorts()
    again.takenPorts.set('tcp 8080', 'conmon (pid 4711)')
    a = await drive(scene, Member.start(scene, { state: 'a', store, ports: again }))
    members.push(a)
    assert.deepEqual(a.control.status().failures, [])
    again.takenPorts.set('tcp 8082', 'conmon (pid 4712)')
    await assert.rejects(run(pod, ['8082:80']), refused('conflict', /conmon/))
  })
})

describe('in several networks', () => {
  const attachAll = (networks: readonly string[], publish: readonly string[], more = {}) =>
    drive(
      scene,
      a.control.attachAll({
        ...{ networks: networks.map((network) => ({ network })), publish },
        ...{ netns: '/run/netns/x', ...more },
      }),
    )

  test('ports lead to the network that gives the default route', async () => {
    const attached = await attachAll(['quiet', 'four', 'blue'], ['80:80'])
    assert.deepEqual(
      attached.map(({ publications }) => publications.length),
      [0, 1, 0],
    )
  })

  test('a later network without the default route cannot have any', async () => {
    await a.attach('four', { netns: '/run/netns/x', name: 'first' })
    await drive(scene, a.control.createNetwork({ name: 'late', subnets: ['10.5.0.0/24'] }))
    await assert.rejects(
      a.attach('late', { netns: '/run/netns/x', publish: ['80:80'] }),
      refused('conflict', /default route in network four, and answers leave there/),
    )
    const { endpoint } = await a.attach('late', { netns: '/run/netns/x' })
    await assert.rejects(
      publish(endpoint.id, '80:80'),
      refused('conflict', /default route in network four/),
    )
    await publish('first', '80:80')
    // blue alone gives IPv6
    const blue = await a.attach('blue', { netns: '/run/netns/x', publish: ['81:81'] })
    assert.equal(blue.publications.length, 1)
  })
})
