/** Datagrams whose checksum and size the sender decides, judged by what a packet socket sees of them. */

import { expect, test } from 'bun:test'
import { spawnSync } from 'node:child_process'

/** Runs in a namespace of its own with a pair of devices, of which nothing reads the other end but us. */
const SCRIPT = `
import { openUdp } from '${import.meta.dirname}/../../src/kernel/udp.ts'
import { parseIP } from '${import.meta.dirname}/../../src/net/ip.ts'
import * as sys from '${import.meta.dirname}/../../src/kernel/syscall.ts'

const [near, far] = process.argv.slice(2).map((text) => parseIP(text))
using udp = await openUdp({ address: near, port: 7442, onDatagram() {} })
// linux/if_ether.h ETH_P_ALL, linux/if_packet.h struct sockaddr_ll: family, protocol, ifindex
const frames = sys.socket(17, sys.SOCK_RAW | sys.SOCK_NONBLOCK, 0x0300)
sys.bind(frames, Uint8Array.of(17, 0, 0, 3, 12, 0, 0, 0, ...new Uint8Array(12)))
const next = (buffer) => {
  try {
    return buffer.subarray(0, sys.receive(frames, buffer))
  } catch {
    return undefined
  }
}
const six = near.includes(':')
const seen = (how, size) => {
  const sent = udp.send(new Uint8Array(size).fill(65), far, 7442, how)
  const buffer = new Uint8Array(4096)
  const found = []
  for (;;) {
    const frame = next(buffer)
    if (frame === undefined) break
    const at = 14 + (six ? 40 : 20)
    const fragment = six ? frame[20] === 44 : ((frame[20] << 8) | frame[21]) & 0x3fff
    if (six ? frame[20] !== 17 && frame[20] !== 44 : frame[23] !== 17) continue
    found.push({ bytes: frame.length - 14, whole: !fragment, sum: fragment ? 0 : (frame[at + 6] << 8) | frame[at + 7] })
  }
  return { sent, found }
}
const pseudo = seen({ sumNow: false, inPieces: false }, 100).found[0]?.sum
const whole = seen({ sumNow: true, inPieces: false }, 100).found[0]?.sum
const most = 1500 - (six ? 48 : 28)
console.log(JSON.stringify({
  differ: pseudo !== undefined && whole !== undefined && pseudo !== whole,
  full: seen({ sumNow: false, inPieces: false }, most),
  refused: seen({ sumNow: false, inPieces: false }, most + 1).sent,
  refusedNow: seen({ sumNow: true, inPieces: false }, most + 1).found.length,
  pieces: seen({ sumNow: true, inPieces: true }, most + 1).found.map(({ whole }) => whole),
  after: seen({ sumNow: false, inPieces: false }, 100).found.length,
}))
`

for (const { near, far } of [
  { near: '192.0.2.1', far: '192.0.2.2' },
  { near: '2001:db8::1', far: '2001:db8::2' },
]) {
  test(`openUdp() at ${near} leaves or does the checksum, and sends in one piece or in two`, () => {
    const length = near.includes(':') ? '64 nodad' : '24'
    const setUp = [
      'ip link add name near index 11 type veth peer name far index 12',
      'sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.far.disable_ipv6=1',
      `ip addr add ${near}/${length} dev near`,
      'ip link set dev far up',
      'ip link set dev near up',
      `ip neigh replace ${far} lladdr 02:00:00:00:00:02 dev near nud permanent`,
      `timeout 5 sh -c 'until ip route get ${far} > /dev/null 2>&1; do :; done'`,
    ].join(' && ')
    const { stdout, stderr } = spawnSync(
      'unshare',
      ['--net', 'sh', '-c', `${setUp} && exec "$0" - ${near} ${far}`, process.execPath],
      { input: SCRIPT, encoding: 'utf8' },
    )
    expect(stderr).toBe('')
    expect(JSON.parse(stdout)).toEqual({
      differ: true,
      full: { sent: true, found: [{ bytes: 1500, whole: true, sum: expect.any(Number) }] },
      refused: false,
      refusedNow: 0,
      pieces: [false, false],
      after: 1,
    })
  })
}
