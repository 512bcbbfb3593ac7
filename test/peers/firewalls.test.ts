/**
 * Our one rule in the chains of real firewalls: marked packets pass, others stay out, what the administrator
 * denies stays denied, and nothing of theirs is changed. Packets are marked by hand here.
 */

import { afterAll, beforeAll, test } from 'bun:test'
import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { passages } from '../../src/dataplane/resources/passage.ts'
import type { Passage } from '../../src/hoststate/ports.ts'
import { openKernel } from '../../src/kernel/real.ts'
import { DockerEngine } from '../../src/lab/docker-engine.ts'
import { createLab, type Lab, removeLab } from '../../src/lab/lab.ts'
import { ip } from '../../src/net/testing.ts'
import { Firewalld, shellOn } from '../firewalls.ts'
import { openSocket } from '../kernel/datapath/sockets.ts'

const TEST_MS = 60_000
const MARK = 0x400000
const WANT: Passage = { kind: 'passage', mark: MARK, hooks: ['forward', 'input'] }
const MARKED_PORT = 5_000
const OTHER_PORT = 5_001
const LEFT = ip('192.0.2.2')
const RIGHT = ip('203.0.113.2')

/** Two machines on two sides of a host that forwards, and marks datagrams to one port. */
const SCRIPT = `set -e
ip link add l0 type veth peer name eth0 netns left
ip link add r0 type veth peer name eth0 netns right
ip addr add 192.0.2.1/24 dev l0
ip addr add 203.0.113.1/24 dev r0
ip link set l0 up
ip link set r0 up
ip -n left addr add ${LEFT}/24 dev eth0
ip -n right addr add ${RIGHT}/24 dev eth0
ip -n left link set eth0 up
ip -n right link set eth0 up
ip -n left route add default via 192.0.2.1
ip -n right route add default via 203.0.113.1
sysctl -q -w net.ipv4.ip_forward=1
nft 'table inet carrick {
  chain forward {
    type filter hook forward priority -10
    udp dport ${MARKED_PORT} meta mark set meta mark | ${MARK}
  }
}'`

const kernel = openKernel()
let lab: Lab
let pins: { readonly left: string; readonly right: string }

beforeAll(async () => {
  const serial = Math.floor(performance.now())
  lab = await createLab({ hosts: 1, name: `ckt-${process.pid}-${serial}` })
  const [left, right] = await lab.containers('h1', ['left', 'right'])
  pins = { left: left?.pin ?? '', right: right?.pin ?? '' }
  await shellOn(lab, 'h1', SCRIPT)
}, TEST_MS)

afterAll(async () => {
  kernel[Symbol.dispose]()
  await removeLab(lab.name)
}, TEST_MS)

/** The resource as the dataplane has it, for the lab's host. */
function passage(): { settle(): boolean; remove(): void; readonly warnings: readonly string[] } {
  const netns = kernel.openNetns(lab.netns('h1'))
  let warnings: readonly string[] = []
  const resource = passages(
    kernel.inNetns(netns, (inside) => inside),
    (told) => {
      warnings = told
    },
  )
  const have = (wanted: readonly Passage[]) => [...resource.list(wanted, true)][0]
  return {
    settle() {
      const found = have([WANT])
      if (found !== undefined && resource.equal(WANT, found as never)) return false
      resource.put(WANT)
      return true
    },
    remove() {
      const found = have([])
      if (found !== undefined) resource.remove(found)
    },
    get warnings() {
      return warnings
    },
  }
}

/** True when a datagram of several comes through. */
async function passes(port: number): Promise<boolean> {
  using receiver = openSocket({ path: pins.right }, 'udp', RIGHT).bind(RIGHT, port)
  using sender = openSocket({ path: pins.left }, 'udp', LEFT)
  sender.connect(RIGHT, port)
  const buffer = new Uint8Array(64)
  for (let i = 0; i < 20; i++) {
    sender.send(Buffer.from('hello')) // a firewall may answer by an error, which the next call tells
    if (receiver.receive(buffer, false) !== undefined) return true
    await pause(10)
  }
  return false
}

/** Everything but our own table, without numbers that change by themselves. */
async function foreignRuleset(): Promise<string> {
  const text = await shellOn(lab, 'h1', 'nft list ruleset 2> /dev/null')
  return text
    .replace(/table inet carrick \{.*?\n\}\n/s, '')
    .replaceAll(/packets \d+ bytes \d+/g, '')
}

/** What holds beside every firewall that drops what it does not know. */
async function holdsBeside(ours: ReturnType<typeof passage>): Promise<void> {
  const before = await foreignRuleset()
  assert.equal(await passes(MARKED_PORT), false, 'closed before')
  assert.equal(ours.settle(), true)
  assert.equal(await passes(MARKED_PORT), true, 'marked packets pass')
  assert.equal(await passes(OTHER_PORT), false, 'others do not')
  assert.equal(ours.settle(), false, 'once is enough')
  const lines = (await foreignRuleset()).split('\n')
  const added = lines.filter((line) => line.includes('comment "carrick"'))
  assert.ok(added.length > 0)
  assert.equal(lines.filter((line) => !added.includes(line)).join('\n'), before)
  assert.deepEqual(ours.warnings, [])
}

test(
  'dockerd, whose FORWARD drops: before and after its restart, and after iptables -F',
  async () => {
    // Where nobody forwarded before, it closes what it opens.
    await shellOn(lab, 'h1', 'sysctl -q -w net.ipv4.ip_forward=0')
    const engine = await DockerEngine.start(lab, 'h1')
    const ours = passage()
    await holdsBeside(ours)
    await engine.stop()
    await engine.launch()
    ours.settle()
    assert.equal(await passes(MARKED_PORT), true)
    // What the administrator denies for good measure stands in DOCKER-USER.
    await shellOn(lab, 'h1', `iptables -I DOCKER-USER -p udp --dport ${MARKED_PORT} -j DROP`)
    assert.equal(await passes(MARKED_PORT), false, 'a denial wins')
    await shellOn(lab, 'h1', 'iptables -F')
    assert.equal(await passes(MARKED_PORT), false, 'closed meanwhile')
    assert.equal(ours.settle(), true)
    assert.equal(await passes(MARKED_PORT), true)
    assert.match(await shellOn(lab, 'h1', 'iptables -S FORWARD'), /--comment carrick -j ACCEPT/)
    ours.remove()
    assert.doesNotMatch(await foreignRuleset(), /carrick/)
    assert.equal(await passes(MARKED_PORT), false)
    await engine.stop()
    await shellOn(lab, 'h1', 'iptables -P FORWARD ACCEPT; iptables -F; iptables -t nat -F')
  },
  TEST_MS,
)

test(
  'ufw: on, reloaded, rejecting, and with a denial of the administrator',
  async () => {
    await shellOn(lab, 'h1', 'ufw --force enable')
    const ours = passage()
    await holdsBeside(ours)
    await shellOn(lab, 'h1', 'ufw reload')
    ours.settle()
    assert.equal(await passes(MARKED_PORT), true)
    assert.equal(await passes(OTHER_PORT), false)
    await shellOn(lab, 'h1', `ufw route deny proto udp from any to any port ${MARKED_PORT}`)
    ours.settle()
    assert.equal(await passes(MARKED_PORT), false, 'a denial wins')
    await shellOn(lab, 'h1', `ufw route delete deny proto udp from any to any port ${MARKED_PORT}`)
    await shellOn(lab, 'h1', 'ufw default reject routed')
    ours.settle()
    assert.equal(await passes(MARKED_PORT), true)
    assert.equal(await passes(OTHER_PORT), false)
    ours.remove()
    assert.doesNotMatch(await foreignRuleset(), /carrick/)
    await shellOn(lab, 'h1', 'ufw disable')
  },
  TEST_MS,
)

test(
  'firewalld: on, reloaded, and with a denial of the administrator',
  async () => {
    await using _firewalld = await Firewalld.start(lab, 'h1')
    const ours = passage()
    await holdsBeside(ours)
    await shellOn(lab, 'h1', 'firewall-cmd --reload')
    assert.equal(await passes(MARKED_PORT), false, 'closed meanwhile')
    assert.equal(ours.settle(), true)
    assert.equal(await passes(MARKED_PORT), true)
    await shellOn(
      lab,
      'h1',
      `set -e
      firewall-cmd --permanent --new-policy=deny
      firewall-cmd --permanent --policy=deny --add-ingress-zone=ANY
      firewall-cmd --permanent --policy=deny --add-egress-zone=ANY
      firewall-cmd --permanent --policy=deny --add-rich-rule='rule port port=${MARKED_PORT} protocol=udp drop'
      firewall-cmd --reload`,
    )
    ours.settle()
    assert.equal(await passes(MARKED_PORT), false, 'a denial wins')
    ours.remove()
    assert.doesNotMatch(await foreignRuleset(), /carrick/)
  },
  TEST_MS,
)
