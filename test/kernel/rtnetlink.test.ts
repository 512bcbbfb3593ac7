/** What our functions made is what ip and tc list, and what those made is what our functions list. */
import { afterAll, test } from 'bun:test'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { openLibbpf } from '../../src/kernel/bpf/libbpf.ts'
import { BpfObject } from '../../src/kernel/bpf/object.ts'
import type { Link } from '../../src/kernel/kernel.ts'
import { isNetworkError } from '../../src/lib/errors.ts'
import { list, run, TestNamespaces } from './namespaces.ts'

const namespaces = new TestNamespaces()
afterAll(() => namespaces[Symbol.dispose]())

/** What a kind of device adds to what ip shows. */
function infoData(shown: Record<string, unknown> | undefined): Record<string, unknown> {
  const info = (shown?.['linkinfo'] ?? {}) as { info_data?: Record<string, unknown> }
  return info.info_data ?? {}
}

/** A host with a veth into a box, both up. */
function pair() {
  const host = namespaces.make('h')
  const box = namespaces.make('b')
  const end = host.view.links.createVeth({ name: 'v0', peer: { name: 'eth0', netns: box.netns } })
  host.view.links.set(end.index, { up: true })
  box.view.links.set('eth0', { up: true })
  return { host, box, end, peer: end.peer ?? 0 }
}

test('a veth is as ip shows it, sizes of super-packets included', () => {
  const host = namespaces.make('h')
  const box = namespaces.make('b')
  const end = host.view.links.createVeth({
    name: 'v0',
    mac: '02:00:00:00:00:01',
    mtuBytes: 1450,
    group: 70,
    alias: 'ours 🜨',
    addrGenMode: 'none',
    gsoMaxBytes: 100_000,
    groMaxBytes: 110_000,
    gsoIpv4MaxBytes: 120_000,
    groIpv4MaxBytes: 130_000,
    up: true,
    peer: {
      name: 'eth0',
      mac: '02:00:00:00:00:02',
      mtuBytes: 1400,
      group: 71,
      netns: box.netns,
      gsoIpv4MaxBytes: 140_000,
    },
  })
  assert.equal(end.gsoIpv4MaxBytes, 120_000)
  assert.equal(end.groIpv4MaxBytes, 130_000)
  assert.equal(box.view.links.get('eth0')?.gsoIpv4MaxBytes, 140_000)
  const [shown] = list(host.name, 'ip -j -d link show v0')
  assert.equal(shown?.['ifindex'], end.index)
  assert.equal(shown?.['address'], '02:00:00:00:00:01')
  assert.equal(shown?.['mtu'], 1450)
  assert.deepEqual([shown?.['num_tx_queues'], shown?.['num_rx_queues']], [1, 1])
  assert.equal(shown?.['group'], '70')
  assert.equal(shown?.['ifalias'], 'ours 🜨')
  assert.equal(shown?.['inet6_addr_gen_mode'], 'none')
  assert.equal(shown?.['gso_max_size'], 100_000)
  assert.equal(shown?.['gro_max_size'], 110_000)
  assert.deepEqual(shown?.['linkinfo'], { info_kind: 'veth' })
  assert.match(`${shown?.['flags']}`, /\bUP\b/)
  const [peer] = list(box.name, 'ip -j -d link show eth0')
  assert.equal(peer?.['ifindex'], end.peer)
  assert.equal(peer?.['address'], '02:00:00:00:00:02')
  assert.equal(peer?.['mtu'], 1400)
  assert.equal(peer?.['group'], '71')
  assert.doesNotMatch(`${peer?.['flags']}`, /\bUP\b/)
})

test('an up device whose IPv6 mode is none makes no address of its own', () => {
  const { host, box } = pair()
  const end = host.view.links.createVeth({
    name: 'v1',
    addrGenMode: 'none',
    up: true,
    peer: { name: 'eth1', netns: box.netns },
  })
  box.view.batch((batch) => batch.links.set('eth1', { up: true, addrGenMode: 'none' }))
  assert.deepEqual(host.view.addresses.list({ device: end.index }), [])
  assert.deepEqual(box.view.addresses.list({ device: end.peer ?? 0 }), [])
})

test('a vxlan device that collects metadata listens on both families', () => {
  const host = namespaces.make('h')
  const made = host.view.links.createVxlan({
    name: 'vx',
    port: 4790,
    collectMetadata: true,
    learning: false,
    udpZeroCsum6Tx: true,
    udpZeroCsum6Rx: true,
    mtuBytes: 1450,
    up: true,
  })
  const [shown] = list(host.name, 'ip -j -d link show vx')
  const data = infoData(shown)
  assert.equal(data['external'], true)
  assert.equal(data['port'], 4790)
  assert.equal(data['learning'], false)
  assert.equal(data['udp_zero_csum6_rx'], true)
  assert.equal(data['udp_zero_csum6_tx'], true)
  assert.deepEqual(made.vxlan, {
    port: 4790,
    collectMetadata: true,
    vni: undefined,
    learning: false,
    udpZeroCsum6Tx: true,
    udpZeroCsum6Rx: true,
  })
  const port = (4790).toString(16).toUpperCase()
  assert.match(run(host.name, 'cat /proc/net/udp'), new RegExp(`0{8}:${port}`))
  assert.match(run(host.name, 'cat /proc/net/udp6'), new RegExp(`0{32}:${port}`))
})

test('list() reads the devices that ip made', () => {
  const host = namespaces.make('h')
  run(host.name, 'ip link add br0 type bridge')
  run(host.name, 'ip link add v0 type veth peer name v1')
  run(host.name, 'ip link set v0 master br0 up group 9 alias x')
  run(host.name, 'ip link set v1 arp off addrgenmode random')
  run(host.name, 'ip link add vx type vxlan id 7 dstport 4791 learning')
  run(host.name, 'ip link add mv link v1 type macvlan mode bridge')
  const by = new Map(host.view.links.list().map((link) => [link.name, link]))
  const bridge = by.get('br0')
  assert.equal(bridge?.kind, 'bridge')
  assert.equal(by.get('lo')?.loopback, true)
  const v0 = by.get('v0')
  assert.deepEqual(
    [v0?.master, v0?.group, v0?.alias, v0?.up, v0?.peer, v0?.peerNetnsId],
    [bridge?.index, 9, 'x', true, by.get('v1')?.index, undefined],
  )
  assert.deepEqual([by.get('v1')?.arp, by.get('v1')?.addrGenMode], [false, 'random'])
  assert.deepEqual(
    [by.get('vx')?.vxlan?.vni, by.get('vx')?.vxlan?.port, by.get('vx')?.vxlan?.learning],
    [7, 4791, true],
  )
  assert.deepEqual([by.get('mv')?.kind, by.get('mv')?.peer], ['macvlan', by.get('v1')?.index])
  assert.equal(by.size, list(host.name, 'ip -j link').length)
})

test('bridge and macvlan are as ip shows them', () => {
  const { host, end } = pair()
  const bridge = host.view.links.createBridge({ name: 'br0', mac: '02:00:00:00:00:05' })
  const macvlan = host.view.links.createMacvlan({ name: 'mv', lower: end.index, mode: 'private' })
  assert.equal(list(host.name, 'ip -j link show br0')[0]?.['ifindex'], bridge.index)
  const [shown] = list(host.name, 'ip -j -d link show mv')
  assert.equal(shown?.['ifindex'], macvlan.index)
  assert.equal(shown?.['link'], 'v0')
  assert.equal(infoData(shown)['mode'], 'private')
})

test('a device is moved, and taken from a bridge', () => {
  const { host, box } = pair()
  const bridge = host.view.links.createBridge({ name: 'br0' })
  const { index } = host.view.links.createVeth({
    name: 'm0',
    master: bridge.index,
    peer: { name: 'm1' },
  })
  assert.equal(list(host.name, 'ip -j link show m0')[0]?.['master'], 'br0')
  host.view.links.set(index, { master: 0 })
  assert.equal(host.view.links.get(index)?.master, undefined)
  host.view.links.set('m1', { netns: box.netns, name: 'moved' })
  assert.equal(list(box.name, 'ip -j link show moved').length, 1)
})

test('addresses are as ip shows them, and the other way round', () => {
  const { box, peer: device } = pair()
  box.view.addresses.put({ device, address: '10.80.0.2', prefixLength: 24 })
  box.view.addresses.put({ device, address: '10.80.0.3', prefixLength: 32, noPrefixRoute: true })
  box.view.addresses.put({ device, address: 'fd80::2', prefixLength: 64, noDad: true })
  run(box.name, 'ip addr add 192.0.2.1/24 scope link dev eth0')
  const info = list(box.name, 'ip -j addr show eth0')[0]?.['addr_info'] as Record<string, unknown>[]
  const shown = info.map((each) => `${each['local']}/${each['prefixlen']} ${each['scope']}`)
  for (const want of ['10.80.0.2/24 global', '10.80.0.3/32 global', 'fd80::2/64 global']) {
    assert.ok(shown.includes(want), want)
  }
  assert.equal(info.find(({ local }) => local === 'fd80::2')?.['nodad'], true)
  assert.equal(info.find(({ local }) => local === '10.80.0.3')?.['noprefixroute'], true)
  const ours = box.view.addresses.list({ device })
  assert.deepEqual(
    ours.find(({ address }) => address === '192.0.2.1'),
    {
      device,
      address: '192.0.2.1',
      prefixLength: 24,
      scope: 'link',
      noDad: false,
      tentative: false,
      noPrefixRoute: false,
    },
  )
  assert.equal(ours.length, info.length)
})

test('routes are as ip shows them', () => {
  const { box, peer: device } = pair()
  box.view.addresses.put({ device, address: '10.80.0.2', prefixLength: 32 })
  const put = box.view.routes.put
  put({ destination: '169.254.1.1/32', device, protocol: 99 })
  put({ destination: '0.0.0.0/0', device, gateway: '169.254.1.1', protocol: 99, metric: 5 })
  put({
    destination: '198.51.100.0/24',
    device,
    gateway: '203.0.113.1',
    onlink: true,
    table: 1000,
    protocol: 99,
    preferredSource: '10.80.0.2',
    mtuBytes: 1300,
  })
  put({ destination: '192.0.2.0/24', device, gateway: 'fe80::1', protocol: 99 })
  put({ destination: '2001:db8::/32', device, gateway: 'fe80::1', protocol: 99 })
  put({ destination: '203.0.113.0/24', type: 'unreachable', protocol: 99 })
  const shown = list(box.name, 'ip -j -d route show table all proto 99')
    .map((each) => {
      const via = each['gateway'] ?? (each['via'] as { host?: string } | undefined)?.['host']
      return `${each['type']} ${each['dst']} ${via} ${each['dev']} ${each['table'] ?? 'main'} ${each['metric']}`
    })
    .sort()
  assert.deepEqual(shown, [
    'unicast 169.254.1.1 undefined eth0 main undefined',
    'unicast 192.0.2.0/24 fe80::1 eth0 main undefined',
    'unicast 198.51.100.0/24 203.0.113.1 eth0 1000 undefined',
    'unicast 2001:db8::/32 fe80::1 eth0 main 1024',
    'unicast default 169.254.1.1 eth0 main 5',
    'unreachable 203.0.113.0/24 undefined undefined main undefined',
  ])
  const [other] = box.view.routes.list({ table: 1000 })
  assert.deepEqual(
    [other?.preferredSource, other?.mtuBytes, other?.onlink, other?.gateway],
    ['10.80.0.2', 1300, true, '203.0.113.1'],
  )
})

test('list() reads several ways, and lookup() what was learned of a path', () => {
  const { host, box, end, peer: device } = pair()
  host.view.addresses.put({ device: end.index, address: '192.0.2.1', prefixLength: 24 })
  box.view.addresses.put({ device, address: '192.0.2.2', prefixLength: 24 })
  run(box.name, 'ip route add 198.51.100.0/24 nexthop via 192.0.2.1 nexthop via 192.0.2.9')
  run(box.name, 'ip route add 203.0.113.0/24 via 192.0.2.1 mtu 1280')
  const [several] = box.view.routes
    .list({ table: 254 })
    .filter(({ destination }) => destination === '198.51.100.0/24')
  assert.deepEqual(several?.hops, [
    { device, gateway: '192.0.2.1' },
    { device, gateway: '192.0.2.9' },
  ])
  assert.deepEqual(box.view.routes.lookup('203.0.113.7'), {
    type: 'unicast',
    device,
    gateway: '192.0.2.1',
    preferredSource: '192.0.2.2',
    pathMtuBytes: 1280,
  })
  assert.equal(box.view.routes.lookup('192.0.2.1')?.pathMtuBytes, 1500)
  assert.equal(box.view.routes.lookup('192.0.2.2')?.type, 'local')
  assert.equal(box.view.routes.lookup('8.8.8.8'), undefined)
})

test('rules are as ip shows them, and the other way round', () => {
  const host = namespaces.make('h')
  host.view.rules.put({
    family: 4,
    priority: 100,
    table: 1000,
    mark: 0x10,
    mask: 0xff,
    protocol: 99,
  })
  host.view.rules.put({
    family: 6,
    priority: 101,
    table: 1001,
    source: 'fd00::/8',
    outputDevice: 'x',
  })
  run(host.name, 'ip rule add pref 102 from 10.0.0.0/8 iif y unreachable')
  const four = list(host.name, 'ip -j -d rule')
  const ours = four.find(({ priority }) => priority === 100)
  assert.deepEqual([ours?.['fwmark'], ours?.['fwmask'], ours?.['table']], ['0x10', '0xff', '1000'])
  const six = list(host.name, 'ip -6 -j rule').find(({ priority }) => priority === 101)
  assert.deepEqual([six?.['src'], six?.['srclen'], six?.['oif']], ['fd00::', 8, 'x'])
  const read = host.view.rules.list().find(({ priority }) => priority === 102)
  assert.deepEqual(
    [read?.source, read?.inputDevice, read?.action],
    ['10.0.0.0/8', 'y', 'unreachable'],
  )
})

test('neighbours are as ip shows them, and the other way round', () => {
  const { box, peer: device } = pair()
  box.view.neighbours.put({ device, address: '169.254.1.1', mac: '02:00:00:00:00:09' })
  run(box.name, 'ip neigh add fe80::9 lladdr 02:00:00:00:00:0a nud stale dev eth0')
  const [shown] = list(box.name, 'ip -j neigh show 169.254.1.1')
  assert.deepEqual([shown?.['lladdr'], shown?.['state']], ['02:00:00:00:00:09', ['PERMANENT']])
  const read = box.view.neighbours.list({ device }).find(({ address }) => address === 'fe80::9')
  assert.deepEqual([read?.mac, read?.state], ['02:00:00:00:00:0a', 'stale'])
})

test('a program in a shared block counts for every device in it, as tc shows', () => {
  const { host, end } = pair()
  using object = BpfObject.load(openLibbpf(), readFileSync('bpf/carrick.bpf.o'))
  const fd = object.program('from_container')
  const place = { block: 7 }
  const filter = { place, priority: 10, handle: 1, name: 'first', programFd: fd }
  assert.throws(() => host.view.filters.put(filter), /block/i)
  host.view.qdiscs.put({ device: end.index, ingressBlock: 7 })
  host.view.filters.put(filter)
  const first = host.view.filters.list(place)
  host.view.filters.put({ ...filter, name: 'second' })
  const [read, ...more] = host.view.filters.list(place)
  assert.deepEqual(more, [])
  assert.deepEqual([read?.priority, read?.handle, read?.name], [10, 1, 'second'])
  assert.equal(read?.programId, first[0]?.programId)
  const shown = list(host.name, 'tc -j filter show block 7').find((each) => 'options' in each)
  const options = (shown?.['options'] ?? {}) as Record<string, unknown>
  const program = (options['prog'] ?? {}) as Record<string, unknown>
  assert.equal(shown?.['pref'], 10)
  assert.equal(shown?.['protocol'], 'all')
  assert.equal(options['bpf_name'], 'second')
  assert.equal(options['direct-action'], true)
  assert.equal(program['id'], read?.programId)
  assert.equal(program['tag'], read?.programTag)
  const qdisc = list(host.name, 'tc -j qdisc show dev v0').find(({ kind }) => kind === 'clsact')
  assert.equal(qdisc?.['ingress_block'], 7)

  const direct = { device: end.index, direction: 'egress' } as const
  host.view.filters.put({ ...filter, place: direct })
  assert.equal(host.view.filters.list(direct)[0]?.name, 'first')
  assert.match(run(host.name, 'tc filter show dev v0 egress'), /first direct-action/)
  host.view.filters.remove({ ...filter, place: direct })
  host.view.filters.remove({ ...filter, place: direct })
  host.view.filters.remove(filter)
  assert.deepEqual([host.view.filters.list(direct), host.view.filters.list(place)], [[], []])
})

test('token buckets are as tc shows them, and the other way round', () => {
  const { host, end } = pair()
  const device = end.index
  for (const [bytesPerSecond, burstBytes] of [
    [125, 16_384],
    [1_000_000, 20_000],
    [5_000_000_000, 8_000_000],
  ] as const) {
    host.view.shapers.put({ device, handle: 0x99, bytesPerSecond, burstBytes, queueBytes: 50_000 })
    const [shown] = list(host.name, 'tc -j qdisc show dev v0 root')
    const options = (shown?.['options'] ?? {}) as Record<string, unknown>
    assert.deepEqual([shown?.['kind'], shown?.['handle']], ['tbf', '99:'])
    assert.equal(options['rate'], bytesPerSecond)
    const off = Math.abs(Number(options['burst']) - burstBytes)
    assert.ok(off <= burstBytes / 100, `${off} bytes at ${bytesPerSecond}`)
  }
  run(host.name, 'tc qdisc replace dev v0 root handle 77: tbf rate 8mbit burst 20000 limit 60000')
  assert.deepEqual(host.view.shapers.list({ handle: 0x77 }), [
    { device, handle: 0x77, bytesPerSecond: 1_000_000, burstBytes: 20_000, queueBytes: 60_000 },
  ])
  run(host.name, 'tc qdisc add dev v0 parent 77: handle 78: tbf rate 8mbit burst 20000 limit 60000')
  assert.deepEqual(host.view.shapers.list({ handle: 0x78 }), [])
})

test('a hundred devices are listed whole and removed as a group', () => {
  const host = namespaces.make('h')
  const box = namespaces.make('b')
  const made: Link[] = []
  for (let i = 0; i < 100; i++) {
    made.push(
      host.view.links.createVeth({
        name: `v${i}`,
        group: 5,
        peer: { name: `e${i}`, netns: box.netns },
      }),
    )
  }
  assert.deepEqual(
    host.view.links.list({ group: 5 }).map(({ index }) => index),
    made.map(({ index }) => index),
  )
  host.view.links.removeGroup(5)
  assert.deepEqual(host.view.links.list({ kind: 'veth' }), [])
})

for (const { what, work, errno, words } of [
  {
    what: 'a device that is not there',
    work: (box: ReturnType<typeof pair>['box']) =>
      box.view.addresses.put({ device: 4711, address: '192.0.2.1', prefixLength: 24 }),
    errno: 'ENODEV',
    words: /Device not found/,
  },
  {
    what: 'an MTU out of bounds',
    work: (box: ReturnType<typeof pair>['box']) =>
      box.view.links.set('eth0', { mtuBytes: 10_000_000 }),
    errno: 'EINVAL',
    words: /mtu greater than device maximum/,
  },
  {
    what: 'a prefix length out of bounds',
    work: (box: ReturnType<typeof pair>['box']) =>
      box.view.addresses.put({ device: 1, address: '192.0.2.1', prefixLength: 33 }),
    errno: 'EINVAL',
    words: /Invalid prefix length/,
  },
]) {
  test(`the kernel's words about ${what} are in the error`, () => {
    const { box } = pair()
    assert.throws(
      () => work(box),
      (error) =>
        isNetworkError(error, 'kernel') &&
        error.details['errno'] === errno &&
        words.test(`${error.details['ack']}`) &&
        words.test(error.message),
    )
  })
}

for (const { family, near, far, hop, other } of [
  { family: 4, near: '192.0.2.1', far: '198.51.100.1', hop: '192.0.2.2', other: '198.51.100.2' },
  { family: 6, near: 'fd01::1', far: 'fd02::1', hop: 'fd01::2', other: 'fd02::2' },
]) {
  test(`lookup() tells the path MTU that a router made IPv${family} learn`, () => {
    const prefixLength = family === 4 ? 24 : 64
    const [left, router, right] = ['l', 'r', 's'].map((label) => namespaces.make(label))
    assert.ok(left !== undefined && router !== undefined && right !== undefined)
    const wire = (
      label: string,
      side: typeof left,
      mtuBytes: number,
      ours: string,
      its: string,
    ) => {
      const peer = { name: label, mtuBytes, netns: router.netns }
      const end = side.view.links.createVeth({ name: label, mtuBytes, peer })
      const device = end.index
      side.view.links.set(device, { up: true })
      router.view.links.set(label, { up: true })
      side.view.addresses.put({ device, address: ours, prefixLength, noDad: true })
      router.view.addresses.put({
        device: end.peer ?? 0,
        address: its,
        prefixLength,
        noDad: true,
      })
      const destination = family === 4 ? '0.0.0.0/0' : '::/0'
      side.view.routes.put({ destination, gateway: its, device })
    }
    wire('a', left, 1500, near, hop)
    wire('b', right, 1400, far, other)
    router.view.sysctl.write(['net', 'ipv4', 'ip_forward'], '1')
    router.view.sysctl.write(['net', 'ipv6', 'conf', 'all', 'forwarding'], '1')
    assert.equal(left.view.routes.lookup(far)?.pathMtuBytes, 1500)
    const hintsBefore = left.view.tooBigHints()
    // The first packet is too large and is answered by the router; ping then reports failure.
    assert.throws(() => run(left.name, `ping -c 1 -W 1 -M do -s 1420 ${far}`))
    assert.equal(left.view.routes.lookup(far)?.pathMtuBytes, 1400)
    assert.ok(left.view.tooBigHints() > hintsBefore)
  })
}
