import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { readBtf } from '../kernel/bpf/btf.ts'
import { type IP, parseIP } from '../net/ip.ts'
import { type Mac, parseMac } from '../net/mac.ts'
import { type Prefix, parsePrefix } from '../net/prefix.ts'
import { DROP_REASONS, DROPS_MAP, EVENTS_MAP, TRAFFIC_MAP, TRAFFIC_PATHS } from './drops.ts'
import { gateways } from './gateway-maps.ts'
import { hostNetns, type LoopbackPortEntry, loopbackPorts } from './hook-maps.ts'
import { fieldBytes, type Layout } from './layout.ts'
import * as maps from './maps.ts'
import { DEFAULT_MARK_MASK } from './marks.ts'

const typesOf = (object: string) =>
  readBtf(readFileSync(new URL(`../../bpf/${object}.bpf.o`, import.meta.url)))
const { structs: datapath, enums } = typesOf('carrick')
const { structs: hooks } = typesOf('hooks')

const LAYOUTS: readonly Layout[] = [
  ...[
    maps.endpoints,
    maps.devices,
    maps.networks,
    maps.hosts,
    maps.directPrefixes,
    maps.config,
    gateways,
  ]
    .flatMap(({ key, value }) => [key, value])
    .filter((layout) => layout.struct !== undefined),
  DROPS_MAP.key,
  TRAFFIC_MAP.value,
  EVENTS_MAP.value,
]

const HOOK_LAYOUTS: readonly Layout[] = [loopbackPorts.key, loopbackPorts.value]

for (const { layout, structs } of [
  ...LAYOUTS.map((layout) => ({ layout, structs: datapath })),
  ...HOOK_LAYOUTS.map((layout) => ({ layout, structs: hooks })),
]) {
  test(`struct ${layout.struct} is as in the object`, () => {
    const compiled = structs.get(layout.struct ?? '')
    expect(compiled?.size).toBe(layout.size)
    const members = compiled?.members.filter(({ name }) => name !== 'padding') ?? []
    const want = Object.entries(layout.fields).map(([name, { at }]) => ({ name, at }))
    expect(members).toEqual(want)
    // Where one field ends the next begins, so the width is right too; `prefixes` is an array.
    const starts = [...(compiled?.members.map(({ at }) => at) ?? []), layout.size]
    for (const [name, field] of Object.entries(layout.fields)) {
      const next = starts[starts.indexOf(field.at) + 1] ?? 0
      const count = name === 'prefixes' ? maps.MAX_PREFIXES : 1
      expect({ name, bytes: next - field.at }).toEqual({ name, bytes: fieldBytes(field) * count })
    }
  })
}

for (const { name, prefix, numbers } of [
  { name: 'drop_reason', prefix: 'DROP_', numbers: DROP_REASONS },
  { name: 'carrier', prefix: 'CARRIER_', numbers: maps.CARRIERS },
  { name: 'traffic_path', prefix: 'PATH_', numbers: TRAFFIC_PATHS },
]) {
  test(`enum ${name} is as in the object`, () => {
    const compiled = [...(enums.get(name) ?? [])].filter(([key]) => key.startsWith(prefix))
    const want = Object.entries(numbers).map(([key, number]) => [
      prefix + key.toUpperCase().replaceAll('-', '_'),
      number,
    ])
    expect(compiled as unknown).toEqual(want)
  })
}

const ip = (text: string): IP => parseIP(text) ?? fail(text)
const mac = (text: string): Mac => parseMac(text) ?? fail(text)
const prefix = (text: string): Prefix => parsePrefix(text) ?? fail(text)
function fail(text: string): never {
  throw new Error(`fixture: ${text}`)
}

function expectRoundTrip<Entry>(layout: maps.MapLayout<Entry>, entries: readonly Entry[]): void {
  describe(layout.name, () => {
    for (const [i, entry] of entries.entries()) {
      test(`entry ${i} comes back from its bytes`, () => {
        const [key, value] = [layout.keyOf(entry), layout.valueOf(entry)]
        expect([key.length, value.length]).toEqual([layout.key.size, layout.value.size])
        expect(layout.entryOf(key, value)).toEqual(entry)
      })
    }
  })
}

const device = mac('02:00:00:00:00:01')
const peer = {
  index: 3,
  address: ip('198.51.100.2'),
  localAddress: ip('198.51.100.1'),
  ifindex: 7,
  deviceMac: device,
  nextHop: ip('2001:db8::1'),
  nextHopMac: undefined,
  onLink: false,
  pathMtuBytes: 1400,
  vxlanPort: 4789,
}
expectRoundTrip(maps.hosts, [
  peer,
  { ...peer, index: 16_383, nextHop: peer.address, nextHopMac: device, onLink: true },
  { ...peer, address: ip('2001:db8::2'), localAddress: ip('2001:db8::3'), vxlanPort: 8472 },
])
expectRoundTrip(maps.endpoints, [
  { vni: 1, address: ip('10.0.0.1'), mac: device, at: { kind: 'local', ifindex: 65_537 } },
  { vni: 1, address: ip('10.0.0.2'), mac: device, at: { kind: 'local', ifindex: 7, shaped: true } },
  { vni: 0xffffff, address: ip('fd80::1'), mac: device, at: { kind: 'remote', host: 0 } },
  { vni: 2, address: ip('10.0.0.254'), mac: device, at: { kind: 'host', ifindex: 12 } },
])
expectRoundTrip(maps.devices, [
  {
    ifindex: 9,
    vni: 5,
    mac: device,
    address4: ip('10.0.0.1'),
    address6: undefined,
    carrier: 'auto',
  },
  {
    ifindex: 9,
    vni: 5,
    mac: device,
    address4: undefined,
    address6: ip('fd80::1'),
    carrier: 'local',
  },
])
const bare = {
  vni: 5,
  prefixes: [],
  gateway4: undefined,
  gateway6: undefined,
  gateway: undefined,
  openMetadata: false,
  internal: false,
}
expectRoundTrip(maps.networks, [
  bare,
  {
    vni: 5,
    prefixes: ['10.80.0.0/16', 'fd80::/48', '192.0.2.128/25', '2001:db8::/127'].map(prefix),
    gateway4: ip('10.80.0.1'),
    gateway6: ip('fd80::1'),
    gateway: { ifindex: 31, mark: 0xff000000 },
    openMetadata: true,
    internal: false,
  },
  { ...bare, gateway: { ifindex: 31, mark: 0x01000000 }, internal: true },
  { ...bare, prefixes: Array.from({ length: 16 }, (_, i) => prefix(`10.${i}.0.0/16`)) },
])
expectRoundTrip(gateways, [
  { ifindex: 31, vni: 5, carrier: 'vxlan', mtuBytes: 1450, around: [prefix('10.80.0.0/16')] },
  {
    ...{ ifindex: 32, vni: 0xffffff, carrier: 'local', mtuBytes: 65_535 },
    around: [prefix('0.0.0.0/0'), prefix('fd80::/47')],
  },
])
expectRoundTrip(maps.directPrefixes, [
  { prefix: prefix('10.80.0.0/16'), vni: 5 },
  { prefix: prefix('fd80::/48'), vni: 0xffffff },
])
const port: LoopbackPortEntry = {
  family: 4,
  protocol: 'tcp',
  address: undefined,
  port: 8080,
  target: ip('10.80.0.10'),
  targetPort: 80,
  mark: 0,
}
expectRoundTrip(loopbackPorts, [
  port,
  { ...port, address: ip('127.0.0.2'), protocol: 'udp', mark: 0xff000000 },
  { ...port, family: 6, target: ip('fd80::a'), port: 65_535, targetPort: 1 },
  { ...port, family: 6, address: ip('::1') },
])
expectRoundTrip(hostNetns, [{ cookie: 1 }, { cookie: 2 ** 40 + 5 }])
const facts = {
  fabricMac: device,
  address4: ip('198.51.100.1'),
  address6: undefined,
  vxlanPort: 4789,
  vxlanIfindex: 4,
  crossFamilyStrip: true,
  direct: false,
  packetMarkMask: DEFAULT_MARK_MASK,
  resolver4: undefined,
  resolver6: undefined,
}
expectRoundTrip(maps.config, [
  facts,
  {
    ...facts,
    address4: undefined,
    address6: ip('2001:db8::1'),
    crossFamilyStrip: false,
    direct: true,
    packetMarkMask: 0x3ff00,
    resolver4: ip('169.254.77.53'),
    resolver6: ip('fd3b:ca44:1c53::53'),
  },
])

test('a row of an array that nobody wrote holds nothing', () => {
  const zeros = new Uint8Array(maps.hosts.value.size)
  expect(maps.hosts.entryOf(new Uint8Array(4), zeros)).toBeUndefined()
})

test('more prefixes than a network can hold are refused', () => {
  const prefixes = Array.from({ length: 17 }, (_, i) => prefix(`10.${i}.0.0/16`))
  expect(() => maps.networks.valueOf({ ...bare, prefixes })).toThrow()
})
