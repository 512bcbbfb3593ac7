/** Rows 13 and 23 to 27: published ports, names and limits, judged by what passes. */

import assert from 'node:assert/strict'
import type { LabContainer } from '../../../../src/lab/lab.ts'
import { familyOf } from '../../../../src/net/ip.ts'
import { ip } from '../../../../src/net/testing.ts'
import { ask } from '../../../cluster/ask.ts'
import { addressOf, until } from '../../../cluster/harness.ts'
import { openSocket } from '../../../kernel/datapath/sockets.ts'
import { addressesOf, assertRefused, OWN, type Result } from '../plugin.ts'
import { HOST, NETWORK, type Stage, whoIs } from '../stage.ts'
import type { Row } from './row.ts'

const PORT = 18_080
const MEASURING_MS = 30_000
const buffer = new Uint8Array(64)

/** As containerd and Nomad write them. */
function published(Protocol: 'tcp' | 'udp') {
  return { portMappings: [{ HostPort: PORT, ContainerPort: 80, Protocol, HostIP: '' }] }
}

export const traffic: readonly Row[] = [
  {
    number: 13,
    title: 'DEL when the namespace is gone gives everything back',
    async run(stage) {
      const box = await stage.box('ck1')
      const runtimeConfig = { ips: ['10.99.0.60'], ...published('tcp') }
      await stage.add(whoIs(box), { runtimeConfig })
      await stage.loseBox(box)
      await stage.del(whoIs(box))
      await stage.del({ ...whoIs(box), netns: '' })
      await stage.assertClean()
      const next = await stage.box('ck2')
      await stage.add(whoIs(next), { runtimeConfig })
    },
  },
  {
    number: 23,
    title: 'a published port leads to its container, from everywhere',
    async run(stage) {
      const box = await stage.box('ck1')
      const result = await stage.add(whoIs(box), { runtimeConfig: published('tcp') })
      const neighbour = await stage.box('ck2')
      await stage.add(whoIs(neighbour))
      assertLeads(stage, box, result, neighbour)
      await stage.del(whoIs(box))
      const host = ip(addressOf(stage.cluster.lab, HOST))
      using client = openSocket({ path: stage.cluster.lab.netns('h2') }, 'tcp', host)
      assert.equal(client.connect(host, PORT), false, 'the port is closed')
    },
  },
  {
    number: 24,
    title: 'a port that another container has is refused with its owner',
    async run(stage) {
      const first = await stage.box('ck1')
      const args = 'K8S_POD_NAME=holder'
      const result = await stage.add(whoIs(first), { runtimeConfig: published('tcp') }, { args })
      const second = await stage.box('ck2')
      const config = stage.config({ runtimeConfig: published('tcp') })
      assertRefused(await stage.call('ADD', whoIs(second), config), [OWN], `${PORT}`, 'holder')
      assert.doesNotMatch(await stage.in(second, 'ip', '-br', 'link'), /eth0/)
      assertLeads(stage, first, result)
    },
  },
  {
    number: 25,
    title: 'a client that keeps sending reaches the container that replaces another',
    async run(stage) {
      const { lab } = stage.cluster
      const host = ip(addressOf(lab, HOST))
      using client = openSocket({ path: lab.netns('h2') }, 'udp', host)
      client.connect(host, PORT)
      for (const name of ['ck1', 'ck2']) {
        const box = await stage.box(name)
        const result = await stage.add(whoIs(box), { runtimeConfig: published('udp') })
        const address = ip(addressesOf(result)[0] ?? '')
        using server = openSocket({ path: box.pin }, 'udp', address).bind(address, 80)
        await until(`${name} receives`, () => {
          client.send(Buffer.from(name))
          return server.receive(buffer, false) !== undefined
        })
        await stage.del(whoIs(box))
        client.send(Buffer.from('to nobody'))
      }
    },
  },
  {
    number: 26,
    title: 'aliases in both shapes are names in the network',
    async run(stage) {
      const asker = await stage.box('asker')
      await stage.add(whoIs(asker))
      for (const aliases of [{ [NETWORK]: ['db', '521c59df7622'] }, ['db']]) {
        const box = await stage.box('ck1')
        const [v4, v6] = addressesOf(await stage.add(whoIs(box), { runtimeConfig: { aliases } }))
        assert.equal(ask(asker, 'db'), `NOERROR ${v4}`)
        assert.equal(ask(asker, `db.${NETWORK}`, { type: 'AAAA' }), `NOERROR ${v6}`)
        await stage.del(whoIs(box))
        assert.equal(ask(asker, `db.${NETWORK}`), 'NXDOMAIN')
        await stage.loseBox(box)
      }
    },
  },
  {
    number: 27,
    title: 'bandwidth is limited both ways, and the limits go with the attachment',
    async run(stage) {
      const box = await stage.box('ck1')
      const peer = await stage.box('ck2')
      const bandwidth = {
        ...{ IngressRate: 8_000_000, IngressBurst: 8_000_000 },
        ...{ EgressRate: 16_000_000, EgressBurst: 16_000_000 },
      }
      const result = await stage.add(whoIs(box), { runtimeConfig: { bandwidth } })
      await stage.add(whoIs(peer))
      // The machine is shared: a measurement that was disturbed is done again.
      let found = ''
      await until(
        'the limits are met',
        async () => {
          const { toBox, fromBox } = await measured(stage, box, addressesOf(result)[0] ?? '', peer)
          const percents = [toBox / bandwidth.IngressRate, fromBox / bandwidth.EgressRate]
          found = percents.map((each) => `${Math.round(100 * each)} %`).join(' and ')
          return percents.every((each) => each >= 0.9 && each <= 1.1)
        },
        MEASURING_MS,
      ).catch((error) => {
        throw new Error(`to and from the container: ${found} of what was asked for`, {
          cause: error,
        })
      })
      assert.match(await stage.view(), /^qdisc tbf /m)
      await stage.del(whoIs(box))
      await stage.del(whoIs(peer))
    },
  },
]

/** Row 23: by the host's address from outside, the host, a neighbour and itself; by loopback from the host. */
function assertLeads(
  { cluster: { lab } }: Stage,
  box: LabContainer,
  result: Result,
  neighbour?: LabContainer,
): void {
  for (const text of addressesOf(result)) {
    const address = ip(text)
    const family = familyOf(address)
    using server = openSocket({ path: box.pin }, 'tcp', address).bind(address, 80).listen()
    const host = ip(addressOf(lab, HOST, family))
    const loopback = ip(family === 4 ? '127.0.0.1' : '::1')
    for (const [who, path, to] of [
      ['another machine', lab.netns('h2'), host],
      ['the host', lab.netns(HOST), host],
      ['the host by loopback', lab.netns(HOST), loopback],
      ['itself', box.pin, host],
      ...(neighbour === undefined ? [] : [['a neighbour', neighbour.pin, host] as const]),
    ] as const) {
      using client = openSocket({ path }, 'tcp', to)
      assert.ok(client.connect(to, PORT), `${who} reaches ${text} by ${to}`)
      using accepted = server.accept()
      client.send(Buffer.from(who))
      assert.equal(Buffer.from(accepted.receive(buffer) ?? []).toString(), who)
    }
  }
}

/** Bits per second that iperf3 sees arrive, after a burst has passed. */
async function measured(
  { cluster: { lab } }: Stage,
  box: LabContainer,
  address: string,
  peer: LabContainer,
): Promise<{ readonly toBox: number; readonly fromBox: number }> {
  const server = lab.spawnIn(box, ['iperf3', '--server', '--one-off'], { stdio: 'ignore' })
  const argv = ['iperf3', '--client', address, '--json', '--bidir', '--omit', '2', '--time', '3']
  let toBox: number | undefined
  let fromBox: number | undefined
  await until('iperf3 has measured', async () => {
    if (server.exitCode !== null) throw new Error(`iperf3 ended with ${server.exitCode}`)
    const { end } = JSON.parse((await lab.runIn(peer, argv)).stdout)
    // Where nobody listens yet the client tells of an error, and may end well.
    toBox = end?.sum_received?.bits_per_second
    fromBox = end?.sum_received_bidir_reverse?.bits_per_second
    return toBox !== undefined && fromBox !== undefined
  })
  return { toBox: toBox ?? 0, fromBox: fromBox ?? 0 }
}
