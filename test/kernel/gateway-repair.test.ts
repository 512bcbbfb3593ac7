/** What happens to gateways when somebody else changes things, and when the dataplane ends and comes again. */

import { expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { Namespace } from './datapath/wire.ts'
import { askDatagram } from './gateway/ask.ts'
import { type Container, HOST, OUTSIDE, Scene, until } from './gateway/scene.ts'
import { blocksOf, blue, FAMILIES, GATEWAY, red, SOURCE, twin, twins } from './gateway/twins.ts'

const answered = { 4: { seen: HOST[4], answered: true }, 6: { seen: HOST[6], answered: true } }

function ask(scene: Scene, { ns }: Container, family: 4 | 6, patient = true) {
  const server = { ns: scene.outside, address: OUTSIDE[family], port: 53 }
  return askDatagram({ ns, address: SOURCE[family], port: 4500 }, server, patient)
}

test('without our table nothing passes in either direction; it comes again by itself', async () => {
  await using scene = new Scene()
  const { a, b } = await twins(scene)
  const table = scene.host.run('nft list ruleset')
  await scene.kill()
  scene.host.run('nft flush ruleset')
  for (const container of [a, b]) {
    for (const family of FAMILIES) {
      expect(ask(scene, container, family, false).seen).toBeUndefined()
      // Nor does anything come back from the host, or from the outside by a route through it.
      const host = { ns: scene.host, address: GATEWAY[family], port: 53 }
      const client = { ns: container.ns, address: SOURCE[family], port: 4501 }
      expect(askDatagram(client, host, false).answered).toBe(false)
    }
    for (const family of FAMILIES) {
      const local = { ns: scene.host, address: HOST[family], port: 53 }
      const client = { ns: container.ns, address: SOURCE[family], port: 4502 }
      expect(askDatagram(client, local, false).seen).toBeUndefined()
    }
  }
  expect(scene.leaked()).toBe(0)
  await scene.update([blue, twin, red], blocksOf(scene))
  for (const container of [a, b]) {
    for (const family of FAMILIES) expect(ask(scene, container, family)).toEqual(answered[family])
  }
  const listed = (text: string): string[] =>
    text
      .replaceAll(/packets \d+ bytes \d+/g, '')
      .split('\n')
      .sort()
  expect(listed(scene.host.run('nft list ruleset'))).toEqual(listed(table))
  scene.host.run('nft flush ruleset')
  await until('the table is there again', () =>
    scene.host.run('nft list ruleset').includes('ckg101'),
  )
  for (const container of [a, b]) {
    for (const family of FAMILIES) expect(ask(scene, container, family)).toEqual(answered[family])
  }
}, 60_000)

for (const { what, commands } of [
  { what: 'a gateway device', commands: ['ip link del ckg101'] },
  { what: 'the idle end of a gateway', commands: ['ip link del ckh101'] },
  { what: 'every address of a gateway', commands: ['ip addr flush dev ckg101'] },
  {
    what: 'the routes of a gateway',
    commands: ['ip route flush table 52002', 'ip -6 route flush table 52002'],
  },
  {
    what: 'our rules',
    commands: ['ip rule flush protocol 202', 'ip -6 rule flush protocol 202'],
  },
  { what: 'a chain of a network', commands: ['nft flush chain inet carrick route_102'] },
  {
    what: 'an element of our table',
    commands: ['nft delete element inet carrick zones "{ 0x66000000 }"'],
  },
  { what: 'a rule of our table', commands: ['nft flush chain inet carrick forward'] },
  { what: 'the state of a gateway', commands: ['ip link set ckg101 down'] },
  { what: 'the hook of a gateway', commands: ['tc qdisc del dev ckg101 clsact'] },
  {
    what: 'settings of a device',
    commands: ['sysctl -qw net.ipv4.conf.ckg101.rp_filter=1', 'ip link set ckg101 mtu 1449'],
  },
] as const) {
  test(`${what} changed by somebody else: put right, and containers reach the outside`, async () => {
    await using scene = new Scene()
    const { a, b } = await twins(scene)
    for (const family of FAMILIES) expect(ask(scene, b, family)).toEqual(answered[family])
    scene.host.run(...commands)
    await until('both reach the outside again', () =>
      [a, b].every((container) =>
        FAMILIES.every((family) => ask(scene, container, family, false).answered),
      ),
    )
    await until('nothing is left to repair', async () => {
      const { repaired, failures } = await scene.audit()
      return Object.keys(repaired).length === 0 && failures.length === 0
    })
    expect(scene.leaked()).toBe(0)
  }, 60_000)
}

test('a dataplane that ends without a word and comes again changes nothing', async () => {
  await using scene = new Scene()
  const { a } = await twins(scene)
  const look = (): string[] =>
    [
      ...['ip -d link', 'ip addr', 'ip route show table all', 'ip -6 route show table all'],
      ...['ip rule', 'ip -6 rule', 'nft -a list ruleset', 'sysctl net.ipv4.conf.eth0.forwarding'],
    ].map((command) => scene.host.run(command).replaceAll(/packets \d+ bytes \d+/g, ''))
  const before = look()
  await scene.kill()
  for (const family of FAMILIES) expect(ask(scene, a, family)).toEqual(answered[family])
  await scene.update([blue, twin, red], blocksOf(scene))
  expect(look()).toEqual(before)
  expect(await scene.audit()).toEqual({ repaired: {}, failures: [] })
}, 60_000)

test('forwarding opens the way into networks only, follows the host, and is taken back', async () => {
  await using scene = new Scene()
  using lan = new Namespace()
  scene.host.run(
    `ip link add lan type veth peer name eth0 netns ${lan.name}`,
    'ip link set lan up',
    'ip addr add 198.51.100.1/24 dev lan',
    'ip addr add 2001:db8:51::1/64 dev lan nodad',
  )
  lan.run(
    'ip link set eth0 up',
    'ip addr add 198.51.100.2/24 dev eth0',
    'ip addr add 2001:db8:51::2/64 dev eth0 nodad',
    'ip route add default via 198.51.100.1',
    'ip -6 route add default via 2001:db8:51::1',
  )
  scene.outside.run(
    `ip route add 198.51.100.0/24 via ${HOST[4]}`,
    `ip -6 route add 2001:db8:51::/64 via ${HOST[6]}`,
  )
  const paths = ['4.conf.eth0.forwarding', '4.conf.lan.forwarding', '6.conf.eth0.force_forwarding']
  const settings = () =>
    scene.host.run(`sysctl -n ${paths.map((path) => `net.ipv${path}`).join(' ')}`)
  const before = settings()
  const address = { 4: '198.51.100.2', 6: '2001:db8:51::2' } as const
  const across = (family: 4 | 6): boolean => {
    const server = { ns: scene.outside, address: OUTSIDE[family], port: 53 }
    return askDatagram({ ns: lan, address: address[family], port: 4600 }, server, false).answered
  }
  const a = scene.container('a', blue, [SOURCE[4], SOURCE[6]])
  await scene.update([blue], blocksOf(scene))
  for (const family of FAMILIES) {
    expect(ask(scene, a, family)).toEqual(answered[family])
    const server = { ns: lan, address: address[family], port: 53 }
    const client = { ns: a.ns, address: SOURCE[family], port: 4601 }
    expect(askDatagram(client, server).answered).toBe(true)
    expect(across(family)).toBe(false)
  }
  scene.host.run('sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1')
  await until('the host forwards as somebody else wishes', () => FAMILIES.every(across))
  scene.host.run('sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0')
  await until('the way into networks is open again', () =>
    FAMILIES.every((family) => ask(scene, a, family, false).answered),
  )
  for (const family of FAMILIES) expect(across(family)).toBe(false)
  scene.containers.length = 0
  await scene.update([])
  await until('the settings are as before', () => settings() === before)
  expect(existsSync(scene.settingsFile)).toBe(false)
}, 60_000)
