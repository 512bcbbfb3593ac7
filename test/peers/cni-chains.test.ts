/** Debian's reference programs around ours: behind it in a list, and giving the addresses for it. */

import assert from 'node:assert/strict'
import { ip } from '../../src/net/testing.ts'
import { addressOf, shell } from '../cluster/harness.ts'
import { openSocket } from '../kernel/datapath/sockets.ts'
import { Chain, type Link } from './cni/chain.ts'
import { addressesOf, assertRefused, NOBODY, OWN, PLUGINS, TYPE } from './cni/plugin.ts'
import { CAPABILITIES, HOST, NETWORK, type Stage, sharedStage, whoIs } from './cni/stage.ts'

const withStage = sharedStage()
const PORT = 18_080
const OURS: Link = { type: TYPE, capabilities: CAPABILITIES }
const PORTS = { portMappings: [{ hostPort: PORT, containerPort: 80, protocol: 'tcp' }] }
const LOG = '/run/delegate.log'

function chainOf(stage: Stage, links: readonly Link[], runtimeConfig = {}, version = '1.0.0') {
  return new Chain(stage, links, { version, name: NETWORK, runtimeConfig })
}

/** True when a connection from the other machine to the host's port arrives in the box. */
function leads(stage: Stage, box: { readonly pin: string }, address: string): boolean {
  const { lab } = stage.cluster
  const [own, host] = [ip(address), ip(addressOf(lab, HOST))]
  using server = openSocket({ path: box.pin }, 'tcp', own).bind(own, 80).listen()
  using client = openSocket({ path: lab.netns('h2') }, 'tcp', host)
  if (!client.connect(host, PORT)) return false
  server.accept()[Symbol.dispose]()
  return true
}

for (const [what, links] of [
  ['ours alone publishes', [OURS]],
  [
    'portmap publishes for us',
    [{ type: TYPE }, { type: 'portmap', capabilities: { portMappings: true } }],
  ],
  [
    'ours publishes, and firewall stands behind it',
    [OURS, { type: 'firewall', backend: 'iptables' }],
  ],
] as const) {
  withStage(`${what} where the host forwards nothing by itself`, async (stage) => {
    await shell(stage.cluster, HOST, 'iptables -P FORWARD DROP')
    const box = await stage.box('ck1')
    const chain = chainOf(stage, links, PORTS)
    try {
      const result = await chain.add(whoIs(box))
      assert.ok(leads(stage, box, addressesOf(result)[0] ?? ''))
      assert.ok(await stage.pings(box, addressOf(stage.cluster.lab, 'h2')), 'it reaches the world')
      // portmap 1.1.1 looks for the rules of one family in the other's tables (plugins#819).
      await chain.check(whoIs(box), result, 'portmap')
      await chain.del(whoIs(box), result)
    } finally {
      await chain.del(whoIs(box))
      await shell(
        stage.cluster,
        HOST,
        `for family in ip ip6; do for table in filter nat; do
        nft delete table $family $table 2>&- || :; done; done`,
      )
    }
  })
}

withStage('sbr takes our routes to a table of its own', async (stage) => {
  const box = await stage.box('ck1')
  const chain = chainOf(stage, [OURS, { type: 'sbr' }])
  const result = await chain.add(whoIs(box))
  assert.match(await stage.in(box, 'ip', 'rule'), /from 10\.99\.0\.\d+ lookup 100/)
  assert.doesNotMatch(await stage.in(box, 'ip', 'route'), /default/)
  await chain.check(whoIs(box), result)
  await chain.del(whoIs(box), result)
})

withStage('one container under two names, and in two networks', async (stage) => {
  await stage.network('other', '10.98.0.0/24')
  const other = { network: 'other' }
  const [box, peer] = [await stage.box('ck1'), await stage.box('ck2')]
  const first = await stage.add(whoIs(box))
  const second = await stage.add(whoIs(box, 'ck1', 'net1'), { isDefaultGateway: false })
  const third = await stage.add(whoIs(box, 'ck1', 'net2'), other, { name: 'third' })
  const [there = ''] = addressesOf(await stage.add(whoIs(peer)))
  assert.equal(new Set([first, second, third].flatMap(addressesOf)).size, 5)
  const routes = await stage.in(box, 'ip', 'route')
  assert.match(routes, /^default via 10\.99\.0\.1 dev eth0/m)
  assert.match(routes, /^10\.98\.0\.0\/24 via 10\.98\.0\.1 dev net2/m)
  for (const address of addressesOf(first)) assert.ok(await stage.pings(peer, address), address)
  for (const ifname of ['eth0', 'net1']) {
    await stage.in(box, 'ping', '-n', '-c', '1', '-W', '2', '-I', ifname, there)
  }
  await stage.del(whoIs(box))
  const links = await stage.in(box, 'ip', '-br', 'link')
  assert.ok(!links.includes('eth0') && links.includes('net1') && links.includes('net2'), links)
  await stage.in(box, 'ping', '-n', '-c', '1', '-W', '2', there)
  await stage.del(whoIs(box, 'ck1', 'net2'), other, { name: 'third' })
  await stage.del(whoIs(box, 'ck1', 'net1'))
  await stage.removeNetwork('other')
})

withStage('host-local gives the addresses, and takes them back', async (stage) => {
  const ipam = {
    ...{ type: 'host-local', dataDir: '/run/host-local', routes: [{ dst: '192.0.2.128/25' }] },
    ranges: [[{ subnet: '10.99.0.0/24', rangeStart: '10.99.0.100', rangeEnd: '10.99.0.101' }]],
  }
  const boxes = [await stage.box('ck1'), await stage.box('ck2'), await stage.box('ck3')] as const
  const chain = chainOf(stage, [{ ...OURS, ipam }])
  const result = await chain.add(whoIs(boxes[0]))
  assert.deepEqual(addressesOf(result), ['10.99.0.100'])
  assert.match(await stage.in(boxes[0], 'ip', 'route'), /^192\.0\.2\.128\/25 via 10\.99\.0\.1 /m)
  await chain.check(whoIs(boxes[0]), result)
  assert.deepEqual(addressesOf(await chain.add(whoIs(boxes[1]))), ['10.99.0.101'])
  const full = stage.config({ ipam }, { version: '1.0.0' })
  assertRefused(await stage.call('ADD', whoIs(boxes[2]), full), [OWN, 11], 'host-local')
  // Ours gives none that another has, whoever gave it.
  const wish = stage.config({ runtimeConfig: { ips: ['10.99.0.100'] } })
  assertRefused(await stage.call('ADD', whoIs(boxes[2]), wish), [OWN], '10.99.0.100')
  await chain.del(whoIs(boxes[0]), result)
  await stage.del({ ...whoIs(boxes[1]), netns: '' }, { ipam }, { version: '1.0.0' })
  assert.equal(
    await shell(stage.cluster, HOST, `ls /run/host-local/${NETWORK} | grep -c ^10 || :`),
    '0\n',
  )
})

withStage('static gives the addresses', async (stage) => {
  const addresses = [
    { address: '10.99.0.120/24', gateway: '10.99.0.1' },
    { address: 'fd99:0:0:1::120/64', gateway: 'fd99:0:0:1::1' },
  ]
  const ipam = { type: 'static', addresses, routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }] }
  const box = await stage.box('ck1')
  const chain = chainOf(stage, [{ ...OURS, ipam }])
  const result = await chain.add(whoIs(box))
  assert.deepEqual(addressesOf(result), ['10.99.0.120', 'fd99:0:0:1::120'])
  assert.ok(await stage.pings(box, '10.99.0.1'))
  await chain.del(whoIs(box), result)
  const foreign = { type: 'static', addresses: [{ address: '10.77.0.5/24' }] }
  const config = stage.config({ ipam: foreign }, { version: '1.0.0' })
  assertRefused(await stage.call('ADD', whoIs(box), config), [OWN, 7], '10.77.0.5')
})

withStage('dhcp without its daemon, and a program that is nowhere', async (stage) => {
  const box = await stage.box('ck1')
  for (const type of ['dhcp', 'nowhere']) {
    const config = stage.config({ ipam: { type } }, { version: '1.0.0' })
    assertRefused(await stage.call('ADD', whoIs(box), config), [OWN, 7, 11], type)
    assert.doesNotMatch(await stage.in(box, 'ip', '-br', 'link'), /eth0/)
  }
  for (const type of ['../../bin/sh', 'a/b', '..']) {
    const config = stage.config({ ipam: { type } })
    assertRefused(await stage.call('ADD', whoIs(box), config), [7], type)
  }
})

/** A program that gives one address, and notes what it is asked: the verb and what stands in its way. */
const DELEGATE = `#!/bin/sh
input=$(cat)
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $CNI_ARGS $(env | grep -c '^CNI_') $input" >> ${LOG}
[ "$CNI_COMMAND" != VERSION ] || echo '{"cniVersion":"1.1.0","supportedVersions":["1.0.0","1.1.0"]}'
[ "$CNI_COMMAND" != ADD ] || echo '{"cniVersion":"1.1.0","ips":[{"address":"ADDRESS"}]}'
`

withStage('a program of somebody else is asked for every verb, and undone', async (stage) => {
  const { cluster } = stage
  for (const [type, address] of [
    ['ours-not', '10.99.0.130/24'],
    ['astray', '172.16.0.1/24'],
  ] as const) {
    const script = `cat > ${PLUGINS}/${type} && chmod +x ${PLUGINS}/${type}`
    const input = DELEGATE.replace('ADDRESS', address)
    await cluster.lab.run(HOST, ['sh', '-c', script], { input })
  }
  const asked = async () => {
    const text = await shell(cluster, HOST, `cat ${LOG}; : > ${LOG}`)
    return text.split('\n').filter((line) => line !== '' && !line.startsWith('VERSION'))
  }
  const ipam = { type: 'ours-not' }
  const box = await stage.box('ck1')
  const result = await stage.add(whoIs(box), { ipam, 'x-kept': 7 }, { args: 'A=b' })
  assert.deepEqual(addressesOf(result), ['10.99.0.130'])
  const [line = ''] = await asked()
  assert.match(line, /^ADD ck1 eth0 A=b 6 \{/)
  const given = JSON.parse(line.slice(line.indexOf('{')))
  assert.equal(given['x-kept'], 7)
  assert.equal(given.cniVersion, '1.1.0')
  const config = stage.config({ ipam, prevResult: result })
  for (const verb of ['CHECK', 'DEL']) {
    assert.equal((await stage.call(verb, whoIs(box), config)).exitCode, 0, verb)
    assert.match((await asked()).join(), new RegExp(`^${verb} ck1 eth0 `))
  }
  for (const [verb, keys] of [
    ['STATUS', {}],
    ['GC', { 'cni.dev/valid-attachments': [] }],
  ] as const) {
    const { exitCode, stdout } = await stage.call(verb, NOBODY, stage.config({ ipam, ...keys }))
    assert.equal(exitCode, 0, `${verb}: ${stdout}`)
    assert.match((await asked()).join(), new RegExp(`^${verb} `))
  }
  const astray = stage.config({ ipam: { type: 'astray' } })
  assertRefused(await stage.call('ADD', whoIs(box), astray), [OWN, 7], '172.16.0.1')
  assert.deepEqual(
    (await asked()).map((each) => each.split(' ')[0]),
    ['ADD', 'DEL'],
  )
})
