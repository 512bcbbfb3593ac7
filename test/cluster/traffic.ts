/** Real packets between containers of a cluster: what every path must carry, and how refusals look. */

import assert from 'node:assert/strict'
import type { Cluster, Container } from '../../src/lab/cluster.ts'
import type { LabContainer } from '../../src/lab/lab.ts'
import { familyOf, type IP, parseIP } from '../../src/net/ip.ts'
import {
  type End,
  exchangeDatagrams,
  exchangeSegments,
  openSocket,
  streamBytes,
} from '../kernel/datapath/sockets.ts'

const PORT = 5010
const STREAM_BYTES = 3_000_000
/** The smallest of the benchmarks, both sides of one fragment, and the most that UDP over IPv4 takes. */
const DATAGRAM_BYTES = [64, 1372, 1373, 9000, 65_507]
const SEGMENTS = { segment: 1200, count: 20 }

/** Ping, a stream, datagrams of all sizes and segmented ones, both ways, every family both have. */
export async function assertCarriesEverything(
  cluster: Cluster,
  a: Container,
  b: Container,
): Promise<void> {
  for (const [i, address] of b.addresses.entries()) {
    assert.ok(await pings(cluster, a, address), `${a.name} pings ${b.name} at ${address}`)
    assert.ok(await pings(cluster, b, a.addresses[i] ?? ''), `${b.name} pings ${a.name}`)
  }
  for (const [from, to] of [...endsOf(a, b), ...endsOf(b, a)]) {
    const path = `${from.address} to ${to.address}`
    assert.equal(streamBytes(from, to, STREAM_BYTES), STREAM_BYTES, `TCP ${path}`)
    for (const size of DATAGRAM_BYTES) {
      assert.equal(exchangeDatagrams(from, to, size, 3), 3, `UDP of ${size} bytes ${path}`)
    }
    for (const gro of [false, true]) {
      const { bytes } = exchangeSegments(from, to, { ...SEGMENTS, gro })
      const want = SEGMENTS.segment * SEGMENTS.count
      assert.equal(bytes, want, `UDP_SEGMENT ${path}${gro ? ' with UDP_GRO' : ''}`)
    }
  }
}

/** True when one of three echo requests is answered. */
export async function pings(
  cluster: Cluster,
  from: LabContainer,
  address: string,
): Promise<boolean> {
  return (await ping(cluster, from, address, '-c', '3', '-i', '0.1', '-W', '1')).exitCode === 0
}

/** What ping says about an address. */
export function ping(
  { lab }: Cluster,
  from: LabContainer,
  address: string,
  ...flags: readonly string[]
): Promise<{ readonly stdout: string; readonly exitCode: number }> {
  return lab.runIn(from, ['ping', '-n', ...flags, address])
}

/** Datagrams of which none is lost tell that traffic passes, without a process for each. */
export function carries(a: Container, b: Container): boolean {
  return endsOf(a, b).every(([from, to]) => exchangeDatagrams(from, to, 200, 1) === 1)
}

/**
 * True when what `stranger` sends to the address of `to` does not arrive there: `friend` sends after it, and
 * his datagram is the first.
 */
export function keepsOut(stranger: Container, friend: Container, to: Container): boolean {
  return endsOf(stranger, to).every(([from, at], i) => {
    const other = endsOf(friend, to)[i]?.[0]
    if (other === undefined) throw new Error(`${friend.name} and ${to.name} share no family`)
    using receiver = openSocket(at.ns, 'udp', at.address).bind(at.address, PORT)
    for (const [end, text] of [
      [from, 'stranger'],
      [other, 'friend'],
    ] as const) {
      using sender = openSocket(end.ns, 'udp', end.address).bind(end.address, PORT)
      sender.connect(at.address, PORT)
      sender.send(Buffer.from(text))
    }
    const first = receiver.receive(new Uint8Array(100)) ?? new Uint8Array()
    return Buffer.from(first).toString() === 'friend'
  })
}

/** Both containers' ends, once per family they share. */
export function endsOf(from: Container, to: Container): readonly (readonly [End, End])[] {
  return from.addresses.flatMap((text) => {
    const address = parsed(text)
    const other = to.addresses.map(parsed).find((each) => familyOf(each) === familyOf(address))
    return other === undefined ? [] : [[endOf(from, address), endOf(to, other)] as const]
  })
}

function endOf({ pin }: LabContainer, address: IP): End {
  return { ns: { path: pin }, address }
}

function parsed(text: string): IP {
  const address = parseIP(text)
  if (address === undefined) throw new Error(`no address: ${text}`)
  return address
}
