/** Rows 1 to 22 that need no traffic: versions, verbs, results, refusals. */

import assert from 'node:assert/strict'
import { addressesOf, assertRefused, OWN, PLUGINS, TYPE } from '../plugin.ts'
import { HOST, type Stage, whoIs } from '../stage.ts'
import type { Row } from './row.ts'

const VERSIONS = ['0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const

/** Runs the program in an environment with nothing but these. */
function bare({ cluster }: Stage, ...assignments: readonly string[]) {
  return cluster.lab.run(HOST, ['env', '-i', ...assignments, `${PLUGINS}/${TYPE}`])
}

export const answers: readonly Row[] = [
  {
    number: 1,
    title: 'VERSION needs no input, no other variable and no daemon',
    async run(stage) {
      const { cluster } = stage
      const shows = async () => {
        const { stdout, exitCode } = await bare(stage, 'CNI_COMMAND=VERSION')
        assert.equal(exitCode, 0)
        const { cniVersion, supportedVersions } = JSON.parse(stdout)
        assert.equal(cniVersion, '1.1.0')
        for (const version of VERSIONS) assert.ok(supportedVersions.includes(version), stdout)
      }
      await shows()
      await cluster.endDaemon(HOST, 'SIGTERM')
      await shows()
      cluster.startDaemon(HOST)
      await cluster.settled(HOST)
    },
  },
  {
    number: 2,
    title: 'without a command it tells its version on standard error',
    async run(stage) {
      const { stdout, stderr, exitCode } = await bare(stage)
      assert.equal(exitCode, 0, stderr)
      assert.equal(stdout, '')
      assert.match(stderr, /\bv?\d+\.\d+\.\d+\b/)
    },
  },
  {
    number: 3,
    title: 'ADD and DEL at four versions',
    async run(stage) {
      const box = await stage.box('ck1')
      for (const version of VERSIONS) {
        const result = await stage.add(whoIs(box), {}, { version })
        assert.equal(result.cniVersion, version)
        const told = result.ips.map((ip) => ip.version)
        assert.deepEqual(told, version < '1' ? ['4', '6'] : [undefined, undefined])
        await stage.del(whoIs(box), { prevResult: result }, { version })
      }
      for (const version of ['0.1.0', '0.2.0']) {
        const who = whoIs(box)
        const answer = await stage.call('ADD', who, stage.config({}, { version }))
        assert.equal(answer.exitCode, 0, answer.stdout)
        const { cniVersion, ip4, ip6 } = JSON.parse(answer.stdout)
        assert.equal(cniVersion, version)
        assert.match(ip4.ip, /^10\.99\.0\.\d+\/24$/)
        assert.match(ip6.ip, /^fd99:.*\/64$/)
        await stage.del(who, {}, { version })
      }
    },
  },
  {
    number: 4,
    title: 'a version that nobody knows',
    async run(stage) {
      const box = await stage.box('ck1')
      const config = stage.config({}, { version: '9.9.9' })
      assertRefused(await stage.call('ADD', whoIs(box), config), [1], '1.1.0')
    },
  },
  {
    number: 5,
    title: 'the result has a container interface with a MAC, and indexes that exist',
    async run(stage) {
      const box = await stage.box('ck1')
      const who = whoIs(box)
      const { interfaces, ips } = await stage.add(who)
      const own = interfaces[ips[0]?.interface ?? -1]
      assert.equal(own?.name, 'eth0')
      assert.equal(own?.sandbox, who.netns)
      const links = JSON.parse(await stage.in(box, 'ip', '-j', 'link', 'show', 'eth0'))
      assert.equal(own?.mac, links[0].address)
      const hosts = interfaces.filter(({ sandbox }) => sandbox === undefined || sandbox === '')
      for (const { name, mac } of hosts) {
        const argv = ['ip', '-j', 'link', 'show', name]
        const { stdout } = await stage.cluster.lab.run(HOST, argv)
        assert.equal(JSON.parse(stdout)[0].address, mac, `${name} is on the host`)
      }
    },
  },
  {
    number: 6,
    title: 'addresses and routes are there as told, and work at once',
    async run(stage) {
      const box = await stage.box('ck1')
      const result = await stage.add(whoIs(box))
      await assertWorks(stage, box, addressesOf(result))
    },
  },
  {
    number: 7,
    title: 'a second ADD is refused, and the first is untouched',
    async run(stage) {
      const box = await stage.box('ck1')
      const result = await stage.add(whoIs(box))
      const again = await stage.call('ADD', whoIs(box), stage.config())
      assertRefused(again, [OWN], 'already')
      await assertWorks(stage, box, addressesOf(result))
      const two = { ...whoIs(box), id: 'another' }
      assertRefused(await stage.call('ADD', two, stage.config()), [OWN], 'eth0')
      await stage.del(two)
      await assertWorks(stage, box, addressesOf(result))
      await stage.check(whoIs(box), result)
    },
  },
  {
    number: 8,
    title: 'CHECK of a sound attachment says nothing',
    async run(stage) {
      const box = await stage.box('ck1')
      await stage.check(whoIs(box), await stage.add(whoIs(box)))
    },
  },
  {
    number: 9,
    title: 'CHECK tells of a default route that is gone',
    async run(stage) {
      const box = await stage.box('ck1')
      const prevResult = await stage.add(whoIs(box))
      await stage.in(box, 'ip', 'route', 'del', 'default')
      const answer = await stage.call('CHECK', whoIs(box), stage.config({ prevResult }))
      assertRefused(answer, [OWN], '0.0.0.0/0')
    },
  },
  {
    number: 10,
    title: 'CHECK at 0.3.1, and without a previous result',
    async run(stage) {
      const box = await stage.box('ck1')
      await stage.add(whoIs(box))
      const old = stage.config({}, { version: '0.3.1' })
      assertRefused(await stage.call('CHECK', whoIs(box), old), [1])
      assertRefused(await stage.call('CHECK', whoIs(box), stage.config()), [7, OWN], 'prevResult')
    },
  },
  {
    number: 11,
    title: 'DEL with a previous result, again without, and without a namespace',
    async run(stage) {
      const box = await stage.box('ck1')
      const prevResult = await stage.add(whoIs(box))
      await stage.del(whoIs(box), { prevResult })
      await stage.del(whoIs(box))
      await stage.del({ ...whoIs(box), netns: '' })
      assert.doesNotMatch(await stage.in(box, 'ip', '-br', 'link'), /eth0/)
    },
  },
  {
    number: 12,
    title: 'rules, links and routes of the host are as before',
    async run(stage) {
      const box = await stage.box('ck1')
      await stage.add(whoIs(box))
      const there = await stage.view()
      assert.match(there, /^ck[0-9a-f]{12}/m)
      await stage.del(whoIs(box))
      await stage.tidy()
      await stage.assertClean()
    },
  },
  {
    number: 14,
    title: 'DEL of what nobody ever added',
    async run(stage) {
      const box = await stage.box('ck1')
      await stage.del({ ...whoIs(box), id: 'never' })
    },
  },
  {
    number: 15,
    title: 'standard input that is no JSON object',
    async run(stage) {
      const box = await stage.box('ck1')
      const { length } = stage.config()
      const inputs = ['{', '', '[]', 'null', '7', '\0\u0001', stage.config().slice(0, length / 2)]
      for (const input of [...inputs, `${stage.config().slice(0, -1)},"x":"${'x'.repeat(5e6)}"}`]) {
        const answer = await stage.call('ADD', whoIs(box), input)
        assertRefused(answer, [6])
      }
    },
  },
  {
    number: 16,
    title: 'a configuration without a name, or with one that is none',
    async run(stage) {
      const box = await stage.box('ck1')
      const { name: _, ...nameless } = JSON.parse(stage.config())
      assertRefused(await stage.call('ADD', whoIs(box), JSON.stringify(nameless)), [7], 'name')
      const odd = stage.config({}, { name: 'a/b' })
      assertRefused(await stage.call('ADD', whoIs(box), odd), [7], 'a/b')
    },
  },
  {
    number: 17,
    title: 'variables that are missing or wrong are named',
    async run(stage) {
      const box = await stage.box('ck1')
      const who = whoIs(box)
      const { cluster } = stage
      const refused = async (verb: string, wrong: object, ...words: string[]) => {
        const answer = await stage.call(verb, { ...who, ...wrong }, stage.config())
        assertRefused(answer, [4], ...words)
      }
      await refused('ADD', { id: '../x' }, 'CNI_CONTAINERID')
      await refused('ADD', { id: 'a/b' }, 'CNI_CONTAINERID')
      for (const ifname of ['abcdefghijklmnop', '..', 'a/b', 'a:b', 'a b']) {
        await refused('ADD', { ifname }, 'CNI_IFNAME')
      }
      await refused('FROB', {}, 'CNI_COMMAND')
      await refused('add', {}, 'CNI_COMMAND')
      await refused('ADD', { netns: '' }, 'CNI_NETNS')
      const argv = ['env', '-i', 'CNI_COMMAND=ADD', `${PLUGINS}/${TYPE}`]
      const all = await cluster.lab.run(HOST, argv, { input: stage.config() })
      assertRefused(all, [4], 'CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME')
    },
  },
  {
    number: 18,
    title: 'a namespace that is gone, a file, a socket, or the host’s own',
    async run(stage) {
      const box = await stage.box('ck1')
      const wrong = ['/run/netns/none', '/etc/hostname', '/run/carrick/carrick.sock', '/run']
      for (const netns of [...wrong, '/proc/self/ns/net', '/proc/1/ns/mnt']) {
        const answer = await stage.call('ADD', { ...whoIs(box), netns }, stage.config())
        assertRefused(answer, [8, OWN])
        await stage.assertClean()
      }
    },
  },
  {
    number: 19,
    title: 'an address and a MAC that are asked for',
    async run(stage) {
      const box = await stage.box('ck1')
      const wish = { ips: ['10.99.0.50'], mac: '0a:00:00:00:00:50' }
      const result = await stage.add(whoIs(box), { runtimeConfig: wish })
      assert.equal(result.ips[0]?.address, '10.99.0.50/24')
      await assertHas(stage, box, '10.99.0.50', '0a:00:00:00:00:50')
    },
  },
  {
    number: 20,
    title: 'the same by CNI_ARGS, beside a pair that is odd',
    async run(stage) {
      const box = await stage.box('ck1')
      const args = 'IgnoreUnknown=1;IP=10.99.0.51;MAC=0a:00:00:00:00:51;X=a=b'
      const result = await stage.add(whoIs(box), {}, { args })
      assert.equal(result.ips[0]?.address, '10.99.0.51/24')
      await assertHas(stage, box, '10.99.0.51', '0a:00:00:00:00:51')
    },
  },
  {
    number: 21,
    title: 'addresses that are taken, the gateway’s, or of another network',
    async run(stage) {
      const first = await stage.box('ck1')
      await stage.add(whoIs(first), { runtimeConfig: { ips: ['10.99.0.50'] } })
      const second = await stage.box('ck2')
      for (const address of ['10.99.0.50', '10.99.0.1', '192.0.2.1']) {
        const config = stage.config({ runtimeConfig: { ips: [address] } })
        const answer = await stage.call('ADD', whoIs(second), config)
        assertRefused(answer, [2, 7, OWN], address)
        assert.equal((await stage.in(second, 'ip', '-o', 'link')).trim().split('\n').length, 1)
      }
    },
  },
  {
    number: 22,
    title: 'a failed ADD leaves nothing in the way of the next',
    async run(stage) {
      const box = await stage.box('ck1')
      const wish = { ips: ['10.99.0.50'], mac: 'zz' }
      const wrong = await stage.call('ADD', whoIs(box), stage.config({ runtimeConfig: wish }))
      assertRefused(wrong, [2, 7, OWN], 'zz')
      await stage.add(whoIs(box), { runtimeConfig: { ...wish, mac: '0a:00:00:00:00:50' } })
      await assertHas(stage, box, '10.99.0.50', '0a:00:00:00:00:50')
    },
  },
]

type Box = Awaited<ReturnType<Stage['box']>>

/** Row 6: what the result tells is what the kernel has, ready for use. */
async function assertWorks(stage: Stage, box: Box, addresses: readonly string[]): Promise<void> {
  const shown = await stage.in(box, 'ip', '-o', 'addr', 'show', 'eth0')
  for (const address of addresses) assert.ok(shown.includes(` ${address}/`), shown)
  assert.doesNotMatch(shown, /tentative|dadfailed/)
  assert.match(await stage.in(box, 'ip', 'route'), /^default via 10\.99\.0\.1 /m)
  assert.match(await stage.in(box, 'ip', '-6', 'route'), /^default via fd99:0:0:1::1 /m)
  for (const gateway of ['10.99.0.1', 'fd99:0:0:1::1']) {
    assert.ok(await stage.pings(box, gateway), `${box.name} pings ${gateway}`)
  }
}

async function assertHas(stage: Stage, box: Box, address: string, mac: string): Promise<void> {
  assert.ok((await stage.in(box, 'ip', '-o', 'addr')).includes(` ${address}/24`))
  assert.ok((await stage.in(box, 'ip', 'link', 'show', 'eth0')).includes(mac))
}
