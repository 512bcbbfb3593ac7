/** One scenario for both kernels: what the fake says must be what Linux says. */
import { describe, test } from 'bun:test'
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { errnoOf } from '../../src/kernel/errno.ts'
import { openFakeKernel } from '../../src/kernel/fake/fake-kernel.ts'
import type { Kernel, KernelView, Link, Route } from '../../src/kernel/kernel.ts'
import type { NftElementChange } from '../../src/kernel/nftables/objects.ts'
import { openKernel } from '../../src/kernel/real.ts'

const PROTOCOL = 99

interface Stage {
  readonly kernel: Kernel
  readonly host: KernelView
  readonly box: KernelView
  readonly boxPath: string
}

for (const [what, open] of [
  ['fake', openFakeKernel],
  ['real', openKernel],
] as const) {
  /** Two namespaces of the kernel, gone afterwards. */
  const staged = (work: (stage: Stage) => void) => () => {
    mkdirSync('/run/netns', { recursive: true })
    const path = (label: string) => `/run/netns/ckt${process.pid}${what}${label}`
    using kernel = open()
    const host = kernel.createNetns(path('host'))
    const box = kernel.createNetns(path('box'))
    try {
      const view = (netns: typeof host) => kernel.inNetns(netns, (inside) => inside)
      work({ kernel, host: view(host), box: view(box), boxPath: path('box') })
    } finally {
      host.close()
      box.close()
      kernel.removeNetns(path('host'))
      kernel.removeNetns(path('box'))
    }
  }
  const veth = ({ kernel, host, boxPath }: Stage): Link => {
    using target = kernel.openNetns(boxPath)
    return host.links.createVeth({
      name: 'v0',
      mac: '02:00:00:00:00:01',
      mtuBytes: 1450,
      group: 70,
      alias: 'ours',
      addrGenMode: 'none',
      peer: { name: 'eth0', mac: '02:00:00:00:00:02', mtuBytes: 1450, netns: target },
    })
  }
  const ours = (routes: readonly Route[]) => routes.filter(({ protocol }) => protocol === PROTOCOL)

  describe(`the ${what} kernel`, () => {
    test(
      'makes both ends of a veth, each in its namespace',
      staged((stage) => {
        const end = veth(stage)
        const { name, kind, mac, mtuBytes, group, alias, addrGenMode, up } = end
        assert.deepEqual(
          { name, kind, mac, mtuBytes, group, alias, addrGenMode, up },
          {
            name: 'v0',
            kind: 'veth',
            mac: '02:00:00:00:00:01',
            mtuBytes: 1450,
            group: 70,
            alias: 'ours',
            addrGenMode: 'none',
            up: false,
          },
        )
        assert.notEqual(end.peerNetnsId, undefined)
        const peer = stage.box.links.get('eth0')
        assert.equal(peer?.index, end.peer)
        assert.equal(peer?.peer, end.index)
        assert.equal(peer?.mac, '02:00:00:00:00:02')
        assert.deepEqual(
          stage.host.links.list({ kind: 'veth' }).map((link) => link.name),
          ['v0'],
        )
        assert.deepEqual(
          stage.host.links.list({ group: 70 }).map((link) => link.name),
          ['v0'],
        )
      }),
    )

    test(
      'removes the other end too',
      staged((stage) => {
        const end = veth(stage)
        stage.box.links.remove('eth0')
        assert.equal(stage.host.links.get(end.index), undefined)
        stage.host.links.remove(end.index)
        stage.host.links.remove('v0')
      }),
    )

    test(
      'removes a group at once, and content when it is empty',
      staged((stage) => {
        veth(stage)
        stage.host.links.removeGroup(70)
        stage.host.links.removeGroup(70)
        assert.equal(stage.host.links.get('v0'), undefined)
        assert.equal(stage.box.links.get('eth0'), undefined)
      }),
    )

    test(
      'refuses a name that is taken, on either side, and leaves nothing',
      staged((stage) => {
        veth(stage)
        assert.equal(
          errnoWhen(() => stage.host.links.createBridge({ name: 'v0' })),
          'EEXIST',
        )
        using target = stage.kernel.openNetns(stage.boxPath)
        const again = () =>
          stage.host.links.createVeth({ name: 'v1', peer: { name: 'eth0', netns: target } })
        assert.equal(errnoWhen(again), 'EEXIST')
        assert.equal(stage.host.links.get('v1'), undefined)
      }),
    )

    test(
      'changes, renames and refuses to change what is not there',
      staged((stage) => {
        const { index } = veth(stage)
        stage.host.links.set('v0', { name: 'w0', mtuBytes: 1400, group: 71, alias: 'else' })
        const link = stage.host.links.get(index)
        assert.deepEqual(
          [link?.name, link?.mtuBytes, link?.group, link?.alias],
          ['w0', 1400, 71, 'else'],
        )
        assert.equal(
          errnoWhen(() => stage.host.links.set(4711, { up: true })),
          'ENODEV',
        )
        assert.equal(
          errnoWhen(() => stage.host.links.set('v0', { up: true })),
          'ENODEV',
        )
      }),
    )

    test(
      'configures a sandbox in one batch, and says which request failed',
      staged((stage) => {
        const { peer: device = 0 } = veth(stage)
        stage.host.links.set('v0', { up: true })
        stage.box.batch((batch) => {
          batch.links.set('lo', { up: true })
          batch.links.set(device, { up: true, addrGenMode: 'none' })
          batch.addresses.put({ device, address: '10.80.0.2', prefixLength: 32 })
          batch.addresses.put({ device, address: 'fd80::2', prefixLength: 128, noDad: true })
          batch.routes.put({ destination: '169.254.1.1/32', device, protocol: PROTOCOL })
          batch.routes.put({
            destination: '0.0.0.0/0',
            gateway: '169.254.1.1',
            device,
            protocol: PROTOCOL,
          })
          batch.neighbours.put({ device, address: '169.254.1.1', mac: '02:00:00:00:00:09' })
        })
        assert.deepEqual(
          stage.box.addresses
            .list({ device })
            .map(({ address, prefixLength, noDad }) => ({ address, prefixLength, noDad })),
          [
            { address: '10.80.0.2', prefixLength: 32, noDad: false },
            { address: 'fd80::2', prefixLength: 128, noDad: true },
          ],
        )
        assert.deepEqual(stage.box.neighbours.list({ device }), [
          { device, address: '169.254.1.1', mac: '02:00:00:00:00:09', state: 'permanent' },
        ])
        const answer = stage.box.routes.lookup('192.0.2.1')
        assert.deepEqual(
          [answer?.device, answer?.gateway, answer?.pathMtuBytes],
          [device, '169.254.1.1', 1450],
        )

        const failing = () =>
          stage.box.batch((batch) => {
            batch.routes.put({ destination: '198.51.100.0/24', device, protocol: PROTOCOL })
            batch.addresses.put({ device: 4711, address: '10.0.0.1', prefixLength: 8 })
            batch.routes.put({ destination: '203.0.113.0/24', device, protocol: PROTOCOL })
          })
        assert.throws(failing, {
          details: {
            operation: 'put address 10.0.0.1/8 on device 4711',
            errno: 'ENODEV',
            ack: 'ipv4: Device not found',
            request: 1,
            requests: 3,
            failures: [
              'Cannot put address 10.0.0.1/8 on device 4711: ipv4: Device not found (ENODEV)',
            ],
          },
        })
        assert.deepEqual(
          ours(stage.box.routes.list({ protocol: PROTOCOL }))
            .map(({ destination }) => destination)
            .sort(),
          ['0.0.0.0/0', '169.254.1.1/32', '198.51.100.0/24', '203.0.113.0/24'],
        )
      }),
    )

    test(
      'takes packets for addresses of its own, and looks at links when asked to',
      staged((stage) => {
        const { peer: device = 0 } = veth(stage)
        stage.host.links.set('v0', { up: true })
        stage.box.batch((batch) => {
          batch.links.set(device, { up: true })
          batch.addresses.put({ device, address: '10.80.0.2', prefixLength: 24 })
          batch.links.refresh(device)
        })
        stage.box.links.refresh(device)
        stage.box.links.refresh(4711)
        assert.equal(stage.box.routes.isLocal('10.80.0.2'), true)
        assert.equal(stage.box.routes.isLocal('10.80.0.3'), false)
        assert.equal(stage.host.routes.isLocal('10.80.0.2'), false)
      }),
    )

    test(
      'loses the routes of a device with its last IPv4 address',
      staged((stage) => {
        const { peer: device = 0 } = veth(stage)
        stage.box.links.set(device, { up: true })
        stage.box.addresses.put({ device, address: '10.80.0.2', prefixLength: 32 })
        stage.box.routes.put({
          destination: '198.51.100.0/24',
          device,
          protocol: PROTOCOL,
          table: 300,
        })
        stage.box.addresses.remove({ device, address: '10.80.0.2', prefixLength: 32 })
        stage.box.addresses.remove({ device, address: '10.80.0.2', prefixLength: 32 })
        assert.deepEqual(stage.box.routes.list({ table: 300 }), [])
      }),
    )

    for (const { family, destination, metric } of [
      { family: 4 as const, destination: '198.51.100.0/24', metric: 0 },
      { family: 6 as const, destination: '2001:db8::/32', metric: 1024 },
    ]) {
      test(
        `puts, corrects, lists and removes a route of IPv${family}`,
        staged((stage) => {
          const { index: device } = veth(stage)
          const route = { destination, device, table: 300, protocol: PROTOCOL }
          assert.equal(
            errnoWhen(() => stage.host.routes.put(route)),
            'ENETDOWN',
          )
          stage.host.links.set(device, { up: true })
          stage.host.routes.put(route)
          stage.host.routes.put({ ...route, mtuBytes: 1300 })
          assert.deepEqual(stage.host.routes.list({ table: 300, family }), [
            {
              family,
              destination,
              table: 300,
              type: 'unicast',
              protocol: PROTOCOL,
              scope: family === 4 ? 'link' : 'global',
              metric,
              device,
              gateway: undefined,
              preferredSource: undefined,
              onlink: false,
              mtuBytes: 1300,
              advmssBytes: undefined,
              hops: [],
            },
          ])
          stage.host.routes.remove({ destination, table: 300 })
          stage.host.routes.remove({ destination, table: 300 })
          assert.deepEqual(stage.host.routes.list({ table: 300 }), [])
          assert.deepEqual(stage.host.routes.list({ table: 301 }), [])
        }),
      )
    }

    test(
      'refuses a gateway out of reach, unless told that it is on the link',
      staged((stage) => {
        const { index: device } = veth(stage)
        // A namespace that never had an address knows no address to be somebody else's.
        stage.host.links.set('lo', { up: true })
        stage.host.links.set(device, { up: true })
        const route = { destination: '0.0.0.0/0', gateway: '203.0.113.1', device }
        assert.equal(
          errnoWhen(() => stage.host.routes.put(route)),
          'ENETUNREACH',
        )
        stage.host.routes.put({ ...route, onlink: true })
        assert.equal(stage.host.routes.lookup('192.0.2.1')?.gateway, '203.0.113.1')
        assert.equal(stage.host.routes.lookup('2001:db8::1'), undefined)
      }),
    )

    test(
      'answers a closed route with nothing',
      staged(({ host }) => {
        host.links.set('lo', { up: true })
        for (const type of ['blackhole', 'unreachable', 'prohibit'] as const) {
          host.routes.put({ destination: '198.51.100.0/24', type })
          host.routes.put({ destination: '2001:db8::/32', type })
          assert.equal(host.routes.lookup('198.51.100.1'), undefined)
          assert.equal(host.routes.lookup('2001:db8::1'), undefined)
        }
      }),
    )

    test(
      'puts a rule once and removes only that one',
      staged(({ host }) => {
        const rule = { family: 4 as const, priority: 100, table: 300, protocol: PROTOCOL }
        host.rules.put({ ...rule, mark: 1, mask: 0xff })
        host.rules.put({ ...rule, mark: 1, mask: 0xff })
        host.rules.put({ ...rule, mark: 2 })
        const listed = () =>
          host.rules.list({ protocol: PROTOCOL }).map(({ mark, mask }) => [mark, mask])
        assert.deepEqual(listed(), [
          [1, 0xff],
          [2, 0xffffffff],
        ])
        host.rules.remove({ ...rule, mark: 1, mask: 0xff })
        host.rules.remove({ ...rule, mark: 1, mask: 0xff })
        assert.deepEqual(listed(), [[2, 0xffffffff]])
        assert.deepEqual(
          host.rules.list({ family: 6 }).map(({ priority, table }) => [priority, table]),
          [
            [0, 255],
            [32766, 254],
          ],
        )
      }),
    )

    test(
      'hooks devices into shared blocks, and corrects a wrong one',
      staged((stage) => {
        const { index: device } = veth(stage)
        const blocks = () => stage.host.qdiscs.list({ device })
        assert.deepEqual(blocks(), [])
        stage.host.qdiscs.put({ device, ingressBlock: 7 })
        stage.host.qdiscs.put({ device, ingressBlock: 7 })
        assert.deepEqual(blocks(), [{ device, ingressBlock: 7, egressBlock: undefined }])
        stage.host.qdiscs.put({ device, ingressBlock: 8, egressBlock: 9 })
        assert.deepEqual(stage.host.qdiscs.list(), [{ device, ingressBlock: 8, egressBlock: 9 }])
        assert.deepEqual(stage.host.filters.list({ block: 8 }), [])
        assert.deepEqual(stage.host.filters.list({ block: 4711 }), [])
        const twice = () => stage.host.batch((batch) => batch.qdiscs.put({ device }))
        assert.equal(errnoWhen(twice), 'EEXIST')
        stage.host.qdiscs.remove({ device })
        stage.host.qdiscs.remove({ device })
        assert.deepEqual(blocks(), [])
        assert.equal(
          errnoWhen(() => stage.host.qdiscs.put({ device: 4711 })),
          'ENODEV',
        )
      }),
    )

    test(
      'puts token buckets at the root of devices, beside the hook, and changes them in place',
      staged((stage) => {
        const { index: device } = veth(stage)
        const shapers = () => stage.host.shapers.list({ device, handle: 9 })
        const shaper = {
          ...{ device, handle: 9, bytesPerSecond: 1_000_000 },
          ...{ burstBytes: 20_000, queueBytes: 70_000 },
        }
        assert.deepEqual(shapers(), [])
        stage.host.batch((batch) => {
          batch.qdiscs.put({ device, ingressBlock: 7 })
          batch.shapers.put(shaper)
          batch.links.set(device, { up: true })
        })
        stage.host.shapers.put(shaper)
        assert.deepEqual(shapers(), [shaper])
        const faster = { ...shaper, bytesPerSecond: 8_000_000_000, burstBytes: 4_096_000 }
        stage.host.shapers.put(faster)
        assert.deepEqual(stage.host.shapers.list({ handle: 9 }), [faster])
        assert.deepEqual(stage.host.shapers.list({ handle: 8 }), [])
        assert.deepEqual(stage.host.qdiscs.list({ device })[0]?.ingressBlock, 7)
        stage.host.shapers.remove({ device, handle: 8 })
        assert.deepEqual(shapers(), [faster])
        stage.host.shapers.put({ ...shaper, handle: 8 })
        assert.deepEqual(shapers(), [])
        stage.host.shapers.remove({ device, handle: 8 })
        stage.host.shapers.remove({ device, handle: 8 })
        assert.deepEqual(stage.host.shapers.list({ handle: 8 }), [])
        stage.host.shapers.remove({ device: 4711, handle: 8 })
        assert.deepEqual(stage.host.shapers.list({ device: 4711, handle: 8 }), [])
        assert.equal(
          errnoWhen(() => stage.host.shapers.put({ ...shaper, device: 4711 })),
          'ENODEV',
        )
      }),
    )

    test(
      'is content to remove filters that are nowhere',
      staged(({ host }) => {
        host.filters.remove({ place: { block: 7 }, priority: 1, handle: 1 })
        host.filters.remove({ place: { device: 1, direction: 'egress' }, priority: 1, handle: 1 })
        host.filters.remove({ place: { device: 47, direction: 'ingress' }, priority: 1, handle: 1 })
      }),
    )

    test(
      'keeps nft tables by transaction',
      staged(({ host }) => {
        const table = { family: 'inet', name: 'ckt' }
        const set = { family: 'inet', table: 'ckt', name: 's', type: 'ipv4_addr' }
        const elements = (elem: readonly string[]) => ({ ...set, elem })
        host.nft.runJson({
          nftables: [
            { add: { table } },
            { add: { set } },
            { add: { element: elements(['192.0.2.1', '192.0.2.2']) } },
          ],
        })
        const broken = () =>
          host.nft.runJson({
            nftables: [
              { delete: { element: elements(['192.0.2.1']) } },
              { delete: { element: elements(['192.0.2.9']) } },
            ],
          })
        assert.equal(errnoWhen(broken), 'ENOENT')
        host.nft.run('delete element inet ckt s { 192.0.2.2 }')
        const found = host.nft
          .listTable('inet', 'ckt')
          ?.map((each) => (each['set'] as { elem?: unknown } | undefined)?.elem)
          .filter((elem) => elem !== undefined)
        assert.deepEqual(found, [['192.0.2.1']])
        host.nft.runJson({ nftables: [{ delete: { table } }] })
        assert.equal(host.nft.listTable('inet', 'ckt'), undefined)
        assert.equal(
          errnoWhen(() => host.nft.run('delete table inet ckt')),
          'ENOENT',
        )
      }),
    )

    test(
      'changes elements all together or not at all',
      staged(({ host }) => {
        const map = { family: 'inet', table: 'ckt', name: 'm' } as const
        host.nft.run(
          `table inet ckt {
            chain c { }
            map m { type ipv4_addr : inet_service; }
            map v { type ipv4_addr : verdict; }
          }`,
        )
        const element = (last: number, port: number) => ({
          ...{ key: Uint8Array.of(192, 0, 2, last), value: Uint8Array.of(0, port) },
          chain: undefined,
        })
        const [one, two, three] = [element(1, 1), element(2, 2), element(3, 3)] as const
        const listed = () => {
          const all = host.nft.elements(map) ?? []
          return all.map(({ key }) => key[3]).sort()
        }
        host.nft.change([{ verb: 'add', ...map, elements: [one, two] }])
        host.nft.change([{ verb: 'add', ...map, elements: [two] }])
        assert.deepEqual(listed(), [1, 2])
        const refused = (...changes: readonly NftElementChange[]) =>
          errnoWhen(() => host.nft.change(changes))
        const adding = { verb: 'add', ...map, elements: [three] } as const
        assert.equal(
          refused(adding, { verb: 'delete', ...map, elements: [element(9, 9)] }),
          'ENOENT',
        )
        assert.equal(refused(adding, { verb: 'add', ...map, elements: [element(2, 7)] }), 'EEXIST')
        assert.equal(refused(adding, { ...adding, name: 'nobody' }), 'ENOENT')
        assert.deepEqual(listed(), [1, 2])
        host.nft.change([{ verb: 'delete', ...map, elements: [element(1, 0)] }, adding])
        assert.deepEqual(listed(), [2, 3])
        const jump = { ...one, value: new Uint8Array(0), chain: 'c' }
        host.nft.change([{ verb: 'add', ...map, name: 'v', elements: [jump] }])
        assert.equal(host.nft.elements({ ...map, name: 'v' })?.[0]?.chain, 'c')
        host.nft.change([])
      }),
    )

    test(
      'keeps settings for each namespace',
      staged((stage) => {
        veth(stage)
        const forward = ['net', 'ipv4', 'ip_forward']
        stage.host.sysctl.write(forward, '1')
        using opened = stage.box.sysctl.open(forward)
        assert.equal(stage.host.sysctl.read(forward), '1')
        assert.equal(stage.box.sysctl.read(forward), '0')
        assert.equal(opened.read(), '0')
        stage.box.sysctl.write(forward, '1')
        assert.equal(opened.read(), '1')
        const ofDevice = ['net', 'ipv4', 'conf', 'v0', 'rp_filter']
        stage.host.sysctl.write(ofDevice, '2')
        assert.equal(stage.host.sysctl.read(ofDevice), '2')
        const ofNobody = ['net', 'ipv4', 'conf', 'nobody', 'rp_filter']
        assert.equal(stage.host.sysctl.read(ofNobody), undefined)
        assert.equal(
          errnoWhen(() => stage.host.sysctl.write(ofNobody, '1')),
          'ENOENT',
        )
      }),
    )

    test(
      'lets a namespace die with its last name and handle, and its links with it',
      staged((stage) => {
        const { kernel, host } = stage
        const path = `${stage.boxPath}2`
        const netns = kernel.createNetns(path)
        host.links.createVeth({ name: 'v9', peer: { name: 'eth9', netns } })
        using again = kernel.openNetns(path)
        assert.equal(again.inode, netns.inode)
        assert.throws(() => kernel.createNetns(path), { code: 'already-exists' })
        netns.close()
        kernel.removeNetns(path)
        kernel.removeNetns(path)
        assert.throws(() => kernel.openNetns(path), { code: 'not-found' })
        assert.notEqual(host.links.get('v9'), undefined)
        assert.equal(
          kernel.inNetns(again, (inside) => inside.links.get('eth9')?.name),
          'eth9',
        )
      }),
    )
  })
}

/** The errno with which the work is refused. */
function errnoWhen(work: () => void): string | undefined {
  try {
    work()
  } catch (error) {
    return errnoOf(error) ?? String(error)
  }
  return undefined
}
