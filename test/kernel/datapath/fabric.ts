/** The datapath in the kernel with maps of its own, attached to nothing: for packets shown by test runs. */

import { readFileSync } from 'node:fs'
import * as drops from '../../../src/hoststate/drops.ts'
import * as maps from '../../../src/hoststate/maps.ts'
import { DEFAULT_MARK_MASK } from '../../../src/hoststate/marks.ts'
import { probeFeatures } from '../../../src/kernel/bpf/features.ts'
import { openLibbpf } from '../../../src/kernel/bpf/libbpf.ts'
import { BpfObject } from '../../../src/kernel/bpf/object.ts'
import { RingReader } from '../../../src/kernel/bpf/ring.ts'
import { type TestPacket, type TestRun, testRun } from '../../../src/kernel/bpf/test-run.ts'
import { parsePrefix } from '../../../src/net/prefix.ts'
import { ip, mac } from './packet.ts'

export const OBJECT = new URL('../../../bpf/carrick.bpf.o', import.meta.url)

/** linux/pkt_cls.h */
export const VERDICT = { UNSPEC: 0xffffffff, SHOT: 2, REDIRECT: 7 } as const

export const VNI = 0x123456
export const FABRIC = mac('0a:ca:bb:1e:00:01')
/** Test runs come in by the loopback device. */
export const LO = 1

/** The container that sends in these tests, with a second address that only the map knows. */
export const A = {
  mac: mac('0a:00:00:00:00:0a'),
  ip4: ip('10.80.0.10'),
  ip6: ip('fd80::a'),
  second4: ip('10.80.0.11'),
  second6: ip('fd80::b'),
}
/** Its neighbour on the same host. */
export const B = { mac: mac('0a:00:00:00:00:0b'), ip4: ip('10.80.0.20'), ip6: ip('fd80::20') }
/** On host 1 (IPv4 underlay), and on host 2 (IPv6 underlay). */
export const C = { mac: mac('0a:00:00:00:00:0c'), ip4: ip('10.80.1.1'), ip6: ip('fd80:0:0:1::1') }
export const D = { mac: mac('0a:00:00:00:00:0d'), ip4: ip('10.80.2.1'), ip6: ip('fd80:0:0:2::1') }
export const GATEWAY = { ip4: ip('10.80.0.1'), ip6: ip('fd80::1') }
export const ABSENT = { ip4: ip('10.80.9.9'), ip6: ip('fd80::9:9') }
export const OUTSIDE = { ip4: ip('192.0.2.1'), ip6: ip('2001:db8::1') }

export const RESOLVER = { ip4: ip('169.254.77.53'), ip6: ip('fd3b:ca44:1c53::53') }

export const HERE = { ip4: ip('198.51.100.1'), ip6: ip('2001:db8:51::1') }
export const HOST1 = ip('198.51.100.2')
export const HOST2 = ip('2001:db8:51::2')
export const DEVICE_MAC = mac('02:00:00:00:00:01')
export const PEER_MAC = mac('02:00:00:00:00:02')

const UNDERLAY = {
  ifindex: LO,
  deviceMac: DEVICE_MAC,
  nextHopMac: PEER_MAC,
  onLink: true,
  pathMtuBytes: 1500,
  vxlanPort: maps.VXLAN_PORT,
}
export const HOSTS: readonly maps.HostEntry[] = [
  { ...UNDERLAY, index: 1, address: HOST1, localAddress: HERE.ip4, nextHop: HOST1 },
  { ...UNDERLAY, index: 2, address: HOST2, localAddress: HERE.ip6, nextHop: HOST2 },
]
export const CONFIG: maps.ConfigEntry = {
  fabricMac: FABRIC,
  address4: HERE.ip4,
  address6: HERE.ip6,
  vxlanPort: maps.VXLAN_PORT,
  vxlanIfindex: LO,
  crossFamilyStrip: true,
  direct: false,
  packetMarkMask: DEFAULT_MARK_MASK,
  resolver4: RESOLVER.ip4,
  resolver6: RESOLVER.ip6,
}

/** The network, without a way to the host. */
export const NETWORK: maps.NetworkEntry = {
  vni: VNI,
  prefixes: ['10.80.0.0/16', 'fd80::/48'].map(prefix),
  gateway4: GATEWAY.ip4,
  gateway6: GATEWAY.ip6,
  gateway: undefined,
  openMetadata: false,
  internal: false,
}

/** A loaded datapath with one network, two containers here and two elsewhere. */
export class Fabric implements Disposable {
  readonly object: BpfObject
  readonly crossFamilyStrip: boolean
  readonly #bpf = openLibbpf()
  readonly #ring: RingReader

  constructor() {
    this.object = BpfObject.load(this.#bpf, readFileSync(OBJECT))
    this.#ring = new RingReader(this.#bpf, this.object.map('events'))
    this.crossFamilyStrip = probeFeatures(this.#bpf, this.object).crossFamilyStrip
    this.put(maps.config, { ...CONFIG, crossFamilyStrip: this.crossFamilyStrip })
    this.put(maps.networks, NETWORK)
    this.putDevice('vxlan')
    for (const host of HOSTS) this.put(maps.hosts, host)
    const local = { kind: 'local', ifindex: LO } as const
    const other = { kind: 'local', ifindex: LO + 1000 } as const
    for (const address of [A.ip4, A.ip6, A.second4, A.second6]) this.endpoint(address, A.mac, local)
    for (const address of [B.ip4, B.ip6]) this.endpoint(address, B.mac, other)
    for (const address of [C.ip4, C.ip6]) this.endpoint(address, C.mac, { kind: 'remote', host: 1 })
    for (const address of [D.ip4, D.ip6]) this.endpoint(address, D.mac, { kind: 'remote', host: 2 })
  }

  put<Entry>(layout: maps.MapLayout<Entry>, entry: Entry): void {
    this.object.map(layout.name).update(layout.keyOf(entry), layout.valueOf(entry))
  }

  /** Gives A's device the carrier of its network. */
  putDevice(carrier: maps.CarrierName): void {
    const device = { ifindex: LO, vni: VNI, mac: A.mac, address4: A.ip4, address6: A.ip6, carrier }
    this.put(maps.devices, device)
  }

  endpoint(
    address: maps.EndpointEntry['address'],
    mac: typeof A.mac,
    at: maps.EndpointEntry['at'],
  ): void {
    this.put(maps.endpoints, { vni: VNI, address, mac, at })
  }

  run(program: string, packet: TestPacket): TestRun {
    return testRun(this.#bpf, this.object.program(program), packet)
  }

  /** Shows the packet to the program and tells for which reasons it was counted as dropped. */
  verdict(program: string, bytes: Uint8Array, more: Partial<TestPacket> = {}): string {
    const before = this.dropped()
    const { verdict } = this.run(program, { ...more, bytes })
    const after = this.dropped()
    for (const [reason, packets] of after) {
      if (packets > (before.get(reason) ?? 0))
        return verdict === VERDICT.SHOT ? reason : `${reason}, answered`
    }
    if (verdict === VERDICT.UNSPEC) return 'not ours'
    return verdict === VERDICT.REDIRECT ? 'redirected' : `verdict ${verdict}`
  }

  /** Packets dropped so far by reason. */
  dropped(): Map<string, number> {
    const sums = new Map<string, number>()
    for (const { key, value } of this.object.map('drops').entries()) {
      const { reason, packets } = drops.readDropCount(key, value)
      const name = drops.dropReason(reason) ?? `unknown(${reason})`
      sums.set(name, (sums.get(name) ?? 0) + packets)
    }
    return sums
  }

  traffic(path: drops.TrafficPath): { packets: number; bytes: number } {
    return readTraffic(this.object, path)
  }

  events(): readonly drops.DropEvent[] {
    return this.#ring.take().map(drops.readDropEvent)
  }

  [Symbol.dispose](): void {
    this.#ring[Symbol.dispose]()
    this.object[Symbol.dispose]()
  }
}

function prefix(text: string): maps.NetworkEntry['prefixes'][number] {
  const parsed = parsePrefix(text)
  if (parsed === undefined) throw new Error(`not a prefix: ${text}`)
  return parsed
}

/** What went one way since the object was loaded. */
export function readTraffic(
  object: BpfObject,
  path: drops.TrafficPath,
): { packets: number; bytes: number } {
  const key = new Uint8Array(Uint32Array.of(drops.TRAFFIC_PATHS[path]).buffer)
  return drops.readCounter(object.map('traffic').lookup(key) ?? new Uint8Array())
}
