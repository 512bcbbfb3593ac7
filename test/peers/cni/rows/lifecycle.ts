/** Rows 28 to 37 and 41: chains, garbage, a daemon that is away or starts anew, killed calls, many at a time. */

import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { exitOf } from '../../../../src/lab/processes.ts'
import { until } from '../../../cluster/harness.ts'
import { Chain } from '../chain.ts'
import { addressesOf, assertRefused, assertSilent, NOBODY, startCall, TYPE } from '../plugin.ts'
import { HOST, NETWORK, type Stage, whoIs } from '../stage.ts'
import type { Row } from './row.ts'

const VALID = 'cni.dev/valid-attachments'
const PORTS = { portMappings: [{ hostPort: 18_090, containerPort: 80, protocol: 'tcp' }] }
/** An attachment that is younger is not garbage yet: its runtime may not have noted it. */
const YOUNG_MS = 60_000
const KILLS = 20
const MANY = 50
const AT_A_TIME = 10

export const lifecycle: readonly Row[] = [
  {
    number: 28,
    title: 'ours first in a chain: portmap, bandwidth, tuning and firewall',
    async run(stage) {
      const box = await stage.box('ck1')
      const chain = new Chain(
        stage,
        [
          { type: TYPE },
          { type: 'portmap', capabilities: { portMappings: true } },
          { type: 'bandwidth', ingressRate: 8e6, ingressBurst: 8e6 },
          { type: 'tuning', mtu: 1300, sysctl: { 'net.ipv4.conf.eth0.rp_filter': '2' } },
          { type: 'firewall', backend: 'iptables' },
        ],
        { version: '1.0.0', name: NETWORK, runtimeConfig: PORTS },
      )
      // Chains and rules that the reference makes once stay; the second time makes the view.
      for (const first of [true, false]) {
        const result = await chain.add(whoIs(box))
        // portmap 1.1.1 looks for the rules of one family in the other's tables (plugins#819).
        await chain.check(whoIs(box), result, 'portmap')
        assert.match(await stage.in(box, 'ip', 'link', 'show', 'eth0'), /mtu 1300/)
        assert.ok(await stage.pings(box, '10.99.0.1'))
        await chain.del(whoIs(box), result)
        await chain.del(whoIs(box))
        if (first) await stage.accept()
      }
    },
  },
  {
    number: 29,
    title: 'ours after loopback keeps what was before',
    async run(stage) {
      const box = await stage.box('ck1')
      const links = [{ type: 'loopback' }, { type: TYPE }]
      const chain = new Chain(stage, links, { version: '0.4.0', name: NETWORK })
      const result = await chain.add(whoIs(box))
      assert.equal(result.interfaces[0]?.name, 'lo')
      assert.deepEqual(addressesOf(result).slice(0, 2), ['127.0.0.1', '::1'])
      const own = result.ips.map((each) => result.interfaces[each.interface ?? -1]?.name)
      assert.deepEqual(own, ['lo', 'lo', 'eth0', 'eth0'])
      await chain.check(whoIs(box), result)
      await chain.del(whoIs(box), result)
    },
  },
  {
    number: 30,
    title: 'GC takes what is not listed, and nothing else',
    async run(stage) {
      const [kept, lost, other] = [
        await stage.box('ck1'),
        await stage.box('ck2'),
        await stage.box('ck3'),
      ]
      await stage.network('other', '10.98.0.0/24')
      await stage.add(whoIs(kept))
      await stage.add(whoIs(lost), { runtimeConfig: { ips: ['10.99.0.70'], ...PORTS } })
      await stage.add(whoIs(other), {}, { name: 'other' })
      const listed = [
        { containerID: 'ck1', ifname: 'eth0' },
        { containerID: 'nobody', ifname: 'net1' },
      ]
      const collect = async () => {
        assertSilent(await stage.call('GC', NOBODY, stage.config({ [VALID]: listed })), 'GC')
      }
      await collect()
      const stands = async (name: string) => (await stage.view()).includes(name)
      assert.ok(await stands('10.99.0.70'), 'what is young is kept')
      await until(
        'what was lost is collected',
        async () => {
          await collect()
          return !(await stands('10.99.0.70'))
        },
        YOUNG_MS,
      )
      assert.doesNotMatch(await stage.in(lost, 'ip', '-br', 'link'), /eth0/)
      assert.doesNotMatch(await stage.view(), /18090/)
      assert.ok(await stage.pings(kept, '10.99.0.1'))
      assert.ok(await stage.pings(other, '10.98.0.1'))
      await stage.del(whoIs(other), {}, { name: 'other' })
      await stage.removeNetwork('other')
      for (const none of [null, []]) {
        assertSilent(await stage.call('GC', NOBODY, stage.config({ [VALID]: none })), 'GC of all')
      }
      await until('all is collected', async () => {
        await stage.call('GC', NOBODY, stage.config({ 'cni.dev/attachments': null }))
        return !(await stands('ck1'))
      })
    },
  },
  {
    number: 31,
    title: 'GC without a list is refused, and takes nothing',
    async run(stage) {
      const box = await stage.box('ck1')
      await stage.add(whoIs(box))
      const before = await stage.view()
      assertRefused(await stage.call('GC', NOBODY, stage.config()), [7], VALID)
      assert.equal(await stage.view(), before)
    },
  },
  {
    number: 32,
    title: 'GC and STATUS are of 1.1.0',
    async run(stage) {
      const config = stage.config({ [VALID]: [] }, { version: '1.0.0' })
      for (const verb of ['GC', 'STATUS'])
        assertRefused(await stage.call(verb, NOBODY, config), [1])
    },
  },
  {
    number: 33,
    title: 'STATUS says whether an ADD would be served',
    async run(stage) {
      assertSilent(await stage.call('STATUS', NOBODY, stage.config()), 'STATUS')
      await stage.cluster.endDaemon(HOST, 'SIGTERM')
      assertRefused(await stage.call('STATUS', NOBODY, stage.config()), [50])
      await start(stage)
      assertSilent(await stage.call('STATUS', NOBODY, stage.config()), 'STATUS')
    },
  },
  {
    number: 34,
    title: 'without a daemon an ADD asks to try again, and a DEL is done when it is back',
    async run(stage) {
      const [box, late] = [await stage.box('ck1'), await stage.box('ck2')]
      await stage.add(whoIs(box), { runtimeConfig: PORTS })
      await stage.cluster.endDaemon(HOST, 'SIGTERM')
      assertRefused(await stage.call('ADD', whoIs(late), stage.config()), [11], 'carrick')
      assert.doesNotMatch(await stage.in(late, 'ip', '-br', 'link'), /eth0/)
      await stage.del(whoIs(box))
      await start(stage)
      await until('it is done', async () => !(await stage.view()).includes('18090'))
      await stage.assertClean()
    },
  },
  {
    number: 35,
    title: 'a restart of the daemon is not noticed by who is attached',
    async run(stage) {
      const box = await stage.box('ck1')
      const peer = await stage.box('ck2')
      const result = await stage.add(whoIs(box))
      await stage.add(whoIs(peer))
      const address = addressesOf(result)[0] ?? ''
      const argv = ['ping', '-n', '-q', '-i', '0.05', '-w', '4', address]
      const pinging = stage.cluster.lab.runIn(peer, argv)
      await stage.cluster.killDaemon(HOST)
      await start(stage)
      await stage.check(whoIs(box), result)
      const { stdout } = await pinging
      assert.match(stdout, / 0% packet loss/)
      await stage.del(whoIs(box), { prevResult: result })
    },
  },
  {
    number: 36,
    title: 'calls that are killed leave what a DEL puts right',
    async run(stage) {
      const { lab } = stage.cluster
      const box = await stage.box('ck1')
      for (let i = 0; i < KILLS; i++) {
        const who = { ...whoIs(box), id: `killed-${i}` }
        stage.remember(who)
        const child = startCall(lab, HOST, 'ADD', who)
        child.stdin?.on('error', () => {}) // it may be dead before it reads
        child.stdin?.end(stage.config())
        child.stdout?.resume()
        child.stderr?.resume()
        const ended = exitOf(child)
        await pause(2 * i)
        child.kill('SIGKILL')
        await ended
        await stage.del(who)
      }
    },
  },
  {
    number: 37,
    title: 'many at a time get addresses of their own, and all are given back',
    async run(stage) {
      const names = Array.from({ length: MANY }, (_, i) => `many-${i}`)
      const boxes = await Promise.all(names.map((name) => stage.box(name)))
      const addresses: string[] = []
      await inTurns(boxes, async (box) => {
        addresses.push(...addressesOf(await stage.add(whoIs(box))))
      })
      assert.equal(new Set(addresses).size, 2 * MANY)
      await inTurns(boxes, (box) => stage.del(whoIs(box)))
      await stage.assertClean()
    },
  },
  {
    number: 41,
    title: 'a list of ours alone as a runtime runs it, one after another and eight at a time',
    async run(stage) {
      const chain = new Chain(stage, [{ type: TYPE }], { version: '1.0.0', name: NETWORK })
      const names = Array.from({ length: 16 }, (_, i) => `run-${i}`)
      const boxes = await Promise.all(names.map((name) => stage.box(name)))
      for (const width of [1, 8]) {
        await inTurns(
          boxes,
          async (box) => {
            const result = await chain.add(whoIs(box))
            await chain.check(whoIs(box), result)
            await chain.del(whoIs(box), result)
          },
          width,
        )
      }
    },
  },
]

async function start({ cluster }: Stage): Promise<void> {
  cluster.startDaemon(HOST)
  await cluster.settled(HOST)
}

/** Does it for all, some at a time. */
async function inTurns<T>(
  all: readonly T[],
  act: (one: T) => Promise<void>,
  width = AT_A_TIME,
): Promise<void> {
  const waiting = [...all]
  const lane = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await act(next)
  }
  await Promise.all(Array.from({ length: width }, lane))
}
