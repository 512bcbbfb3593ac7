/**
 * All that a host's kernel holds of ours, as the kernel's own tools list it, and what the model says it should
 * be: both as lines, so that a difference reads like a sentence. What is for the way to the world outside (gateways,
 * host addresses, the rules of our table, the probes' network) has tests of its own; published ports are here.
 */

import assert from 'node:assert/strict'
import { MAPS_SCHEMA } from '../../src/hoststate/maps.ts'
import { FABRIC_MAC, MARK } from '../../src/hoststate/state.ts'
import type { Cluster } from '../../src/lab/cluster.ts'
import { PROBE_VNI } from '../../src/model/probe-network.ts'
import { ipFromBytes } from '../../src/net/ip.ts'
import { macFromBytes } from '../../src/net/mac.ts'
import { shell } from './harness.ts'
import {
  type ListedMap,
  listedForwards,
  listedLoopbacks,
  type PortItem,
  wantedPorts,
} from './ports-dump.ts'

const BLOCK = 51_728
const PINS = `/sys/fs/bpf/carrick/v${MAPS_SCHEMA}`
/** Detached links are deleted by a thread of their own, a moment later. */
const PATIENCE_MS = 5_000
/** The kernel keeps so much of a program's name. */
const KEPT_BYTES = 15
/** Characters of a section that differs: before the first difference, and in all. */
const TOLD_BEFORE = 200
const TOLD = 600
/** Rows of the array of hosts that a test could fill. */
const HOST_ROWS = 8

/** `entrance DEVICE`: the program on its way in, as JSON; behind a link where the kernel has them, else a filter. */
export const ENTRANCE = `entrance() {
  link=/sys/fs/bpf/carrick/devices/ingress-$(ip -o link show dev $1 | cut -d: -f1)
  [ -e "$link" ] || { tc -j filter show dev $1 ingress; return; }
  id=$(bpftool link show pinned "$link" | sed -n 's/.*prog \\([0-9]*\\).*/\\1/p')
  bpftool prog show id "$id" | sed -n 's/.* name \\([a-z_]*\\) .*/[{"name":"\\1"}]/p'
}`

const SCRIPT = `
section() { echo "===== $1"; }
${ENTRANCE}
section links; ip -j -d link show
section qdiscs; tc -j qdisc show
section block; tc -j filter show block ${BLOCK}
section uplink; entrance eth0
section vxlan; entrance ckvx0
section tables; nft -j -s list ruleset
for map in networks direct_prefixes devices endpoints; do
  section $map; bpftool -j map dump pinned ${PINS}/$map
done
section loopback_ports; [ ! -e ${PINS}/hooks ] || bpftool -j map dump pinned ${PINS}/hooks/loopback_ports
i=0
while [ $i -lt ${HOST_ROWS} ]; do
  section host$i; bpftool -j map lookup pinned ${PINS}/hosts key $i 0 0 0; i=$((i + 1))
done
for netns in /run/netns/*; do
  [ -e "$netns" ] || continue
  section "inside $netns"; nsenter --net="$netns" ip -j addr show
  section "routes $netns"; nsenter --net="$netns" ip route show; nsenter --net="$netns" ip -6 route show
done`

interface Link {
  readonly ifindex: number
  readonly ifname: string
  readonly flags: readonly string[]
  readonly group: string
  readonly address: string
  readonly mtu: number
  readonly ifalias?: string
}

interface MapEntry<K, V> {
  readonly formatted: { readonly key: K; readonly value: V }
}

interface Address {
  readonly word: readonly number[]
}

/** One object of `nft -j list ruleset`. */
interface TableObject {
  readonly rule?: { readonly family: string; readonly table: string; readonly expr: unknown }
  readonly map?: ListedMap
}

interface LoopbackKey {
  readonly address: Address
  readonly port: number
  readonly protocol: number
  readonly family: number
}

interface LoopbackValue {
  readonly address: Address
  readonly port: number
}

interface Inside {
  readonly ifname: string
  readonly address: string
  readonly flags: readonly string[]
  readonly addr_info: readonly {
    readonly local: string
    readonly prefixlen: number
    readonly scope: string
  }[]
}

/** Text of every section by its name; program numbers are left out, a restart may change them. */
export type Dump = ReadonlyMap<string, string>

/** Reads everything; sections of maps are sorted, since a hash has no order. */
async function dumpKernel(cluster: Cluster, host: string): Promise<Dump> {
  const text = await shell(cluster, host, SCRIPT)
  const sections = text.split(/^===== /m).slice(1)
  return new Map(
    sections.map((section) => {
      const end = section.indexOf('\n')
      const name = section.slice(0, end)
      return [name, steady(name, section.slice(end + 1).trim())]
    }),
  )
}

/** What the kernel holds once the daemon has settled and two looks in a row see the same: links come up by and by. */
export async function restingKernel(cluster: Cluster, host: string): Promise<Dump> {
  await cluster.settled(host)
  const deadline = performance.now() + PATIENCE_MS
  let [last, now] = [await dumpKernel(cluster, host), await dumpKernel(cluster, host)]
  while (differing(last, now).length > 0) {
    if (performance.now() > deadline) throw new Error(`${host} changes: ${told(last, now)}`)
    ;[last, now] = [now, await dumpKernel(cluster, host)]
  }
  return now
}

/** Fails unless the kernel holds what it held `before`, once links are reaped; says which sections differ. */
export async function assertKernelKeeps(
  cluster: Cluster,
  host: string,
  before: Dump,
): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  let now = await dumpKernel(cluster, host)
  while (differing(before, now).length > 0 && performance.now() < deadline) {
    now = await dumpKernel(cluster, host)
  }
  assert.deepEqual(differing(before, now), [], told(before, now))
}

function differing(before: Dump, now: Dump): readonly string[] {
  const names = new Set([...before.keys(), ...now.keys()])
  return [...names].filter((name) => before.get(name) !== now.get(name))
}

/** Each section that differs, from a little before the first difference. */
function told(before: Dump, now: Dump): string {
  return differing(before, now)
    .map((name) => {
      const [was, is] = [before.get(name) ?? '', now.get(name) ?? '']
      const first = [...was].findIndex((character, i) => character !== is[i])
      const from = Math.max(0, (first === -1 ? was.length : first) - TOLD_BEFORE)
      const part = (text: string): string => text.slice(from, from + TOLD)
      return `${name}, from character ${from}: was\n${part(was)}\nand is\n${part(is)}`
    })
    .join('\n')
}

/** Fails unless the kernel of the host holds exactly what the model says, once links are reaped. */
export async function assertKernelIsModel(cluster: Cluster, host: string): Promise<void> {
  let [want, have]: (readonly string[])[] = []
  const deadline = performance.now() + PATIENCE_MS
  do {
    want = await wantedLines(cluster, host)
    have = linesOf(await dumpKernel(cluster, host))
  } while (have.join('\n') !== want.join('\n') && performance.now() < deadline)
  assert.deepEqual(have, want)
}

/** What one kernel holds, in the words of `wantedLines`. */
function linesOf(dump: Dump): readonly string[] {
  const read = <T>(name: string): T => JSON.parse(dump.get(name) || '[]') as T
  const links = read<Link[]>('links')
  const nameOf = new Map(links.map(({ ifindex, ifname }) => [ifindex, ifname]))
  const blocks = new Map(
    read<{ dev: string; kind: string; ingress_block?: number }[]>('qdiscs')
      .filter(({ kind }) => kind === 'clsact')
      .map(({ dev, ingress_block }) => [dev, ingress_block ?? 0]),
  )
  const tables = read<{ nftables?: readonly TableObject[] }>('tables').nftables ?? []
  return [
    ...links
      .filter(({ ifname, group }) => ifname.startsWith('ck') || /^5171\d$/.test(group))
      .filter(({ group }) => !GATEWAY_GROUPS.includes(group))
      .map(({ ifname, group, ifalias = '', flags }) => {
        const up = flags.includes('UP') ? 'up' : 'down'
        const kind = GROUPS[group] ?? `group ${group}`
        return kind === 'endpoint'
          ? `link endpoint ${ifname} ${ifalias} ${up} block ${blocks.get(ifname)}`
          : `link ${kind} ${ifname}`
      }),
    ...['block', 'uplink', 'vxlan'].flatMap((place) =>
      read<{ name?: string; options?: { prog?: { name: string } } }[]>(place).flatMap(
        ({ options, name = options?.prog?.name }) =>
          name === undefined ? [] : [`program ${place} ${name.slice(0, KEPT_BYTES)}`],
      ),
    ),
    ...tables.flatMap(({ rule }) =>
      rule === undefined || (rule.family === 'inet' && rule.table === MARK.table)
        ? []
        : [`rule ${rule.family} ${rule.table} ${JSON.stringify(rule.expr)}`],
    ),
    ...listedForwards(tables.flatMap(({ map }) => map ?? [])),
    ...listedLoopbacks(
      read<MapEntry<LoopbackKey, LoopbackValue>[]>('loopback_ports').map(
        ({ formatted: { key, value } }) => ({
          ...{ protocol: key.protocol, family: key.family, port: key.port },
          address: addressOf(key.address),
          target: addressOf(value.address),
          targetPort: value.port,
        }),
      ),
    ),
    ...read<MapEntry<number, unknown>[]>('networks')
      .filter(({ formatted }) => formatted.key !== PROBE_VNI)
      .map(({ formatted }) => `network ${formatted.key}`),
    ...read<MapEntry<{ vni: number; address: Address }, EndpointValue>[]>('endpoints')
      .filter(({ formatted }) => macOf(formatted.value.mac) !== FABRIC_MAC)
      .map(({ formatted: { key, value } }) => {
        const at =
          value.ifindex === 0 ? `host ${value.host}` : (nameOf.get(value.ifindex) ?? 'no device')
        return `at ${key.vni}/${addressOf(key.address)} ${at} ${macOf(value.mac)}`
      }),
    ...read<MapEntry<number, { vni: number; mac: number[] }>[]>('devices').map(
      ({ formatted: { key, value } }) =>
        `device ${nameOf.get(key) ?? 'no device'} ${value.vni} ${macOf(value.mac)}`,
    ),
    ...insides(dump),
  ].toSorted()
}

/** What the command line says the kernel should hold. */
async function wantedLines(cluster: Cluster, host: string): Promise<readonly string[]> {
  const list = async <T>(noun: string): Promise<readonly T[]> =>
    (await cluster.json<{ items: T[] }>(host, noun, 'ls')).items
  const networks = await list<NetworkItem>('network')
  const endpoints = await list<EndpointItem>('endpoint')
  const hosts = await list<{ metadata: { id: string }; status: { index: number } }>('host')
  const indexOf = new Map(hosts.map(({ metadata, status }) => [metadata.id, status.index]))
  const vniOf = new Map(networks.map(({ metadata, status }) => [metadata.id, status.vni]))
  return [
    'link fabric ckan0',
    'link fabric ckan0p',
    'link fabric ckdns0',
    'link fabric ckdns0p',
    'link fabric ckvx0',
    'program block from_container',
    'program uplink from_underlay',
    `program vxlan ${'from_vxlan_device'.slice(0, KEPT_BYTES)}`,
    `rule arp carrick ${BELT}`,
    `rule arp carrick ${EVERY_HOSTS}`,
    ...wantedPorts(await list<PortItem>('publish')),
    ...networks.map(({ status }) => `network ${status.vni}`),
    ...endpoints.flatMap(({ metadata, spec, status }) => {
      const vni = vniOf.get(status.networkId)
      const at = status.local ? status.device : `host ${indexOf.get(status.hostId)}`
      const entries = spec.addresses.map((address) => `at ${vni}/${address} ${at} ${spec.mac}`)
      if (!status.local) return entries
      const alias = `${spec.network}/${metadata.name}`
      const lengths = new Map(
        networks
          .find((network) => network.metadata.id === status.networkId)
          ?.spec.subnets.map((subnet) => [subnet.includes(':'), subnet.split('/')[1]]),
      )
      const inside = spec.addresses.map((each) => `${each}/${lengths.get(each.includes(':'))}`)
      return [
        ...entries,
        `link endpoint ${status.device} ${alias} up block ${BLOCK}`,
        `device ${status.device} ${vni} ${spec.mac}`,
        `inside ${spec.netns} ${spec.ifname} ${spec.mac} up ${inside.toSorted().join(' ')}`,
      ]
    }),
  ].toSorted()
}

const GATEWAY_GROUPS: readonly string[] = [MARK.gatewayGroup, MARK.gatewayPeerGroup].map(String)

const GROUPS: Readonly<Record<string, string>> = {
  '51713': 'endpoint',
  '51714': 'dying',
  '51715': 'fabric',
}

const BELT = JSON.stringify([
  { match: { op: '==', left: { meta: { key: 'iifgroup' } }, right: 51_713 } },
  { counter: null },
  { drop: null },
])

/** The resolver's address, which every host has. */
const EVERY_HOSTS = JSON.stringify([
  {
    match: {
      op: '==',
      left: { payload: { protocol: 'arp', field: 'daddr ip' } },
      right: '169.254.77.53',
    },
  },
  { counter: null },
  { drop: null },
])

interface EndpointValue {
  readonly ifindex: number
  readonly host: number
  readonly mac: readonly number[]
}

interface NetworkItem {
  readonly metadata: { readonly id: string }
  readonly spec: { readonly subnets: readonly string[] }
  readonly status: { readonly vni: number }
}

interface EndpointItem {
  readonly metadata: { readonly name?: string }
  readonly spec: {
    readonly network: string
    readonly addresses: readonly string[]
    readonly mac: string
    readonly ifname: string
    readonly netns?: string
  }
  readonly status: {
    readonly networkId: string
    readonly hostId: string
    readonly local: boolean
    readonly device?: string
  }
}

/** Every interface in every container's namespace, but the loopback. */
function insides(dump: Dump): readonly string[] {
  return [...dump].flatMap(([name, text]) => {
    const netns = /^inside (.*)$/.exec(name)?.[1]
    if (netns === undefined) return []
    const links = JSON.parse(text) as readonly Inside[]
    return links
      .filter(({ ifname }) => ifname !== 'lo')
      .map(({ ifname, address, flags, addr_info }) => {
        const addresses = addr_info
          .filter(({ scope }) => scope === 'global')
          .map(({ local, prefixlen }) => `${local}/${prefixlen}`)
        const up = flags.includes('UP') ? 'up' : 'down'
        return `inside ${netns} ${ifname} ${address} ${up} ${addresses.toSorted().join(' ')}`
      })
  })
}

function steady(name: string, text: string): string {
  if (['block', 'uplink', 'vxlan'].includes(name)) {
    return text.replaceAll(/"id":\d+/g, '"id":0')
  }
  const maps = ['networks', 'direct_prefixes', 'devices', 'endpoints', 'loopback_ports']
  if (text === '' || !maps.includes(name)) return text
  const entries = JSON.parse(text) as unknown[]
  const lines = entries.map((entry) => JSON.stringify(entry)).toSorted()
  return `[${lines.join(',')}]`
}

function addressOf({ word }: Address): string {
  const bytes = new Uint8Array(Uint32Array.from(word).buffer)
  const mapped = word[0] === 0 && word[1] === 0 && word[2] === 0xffff_0000
  return ipFromBytes(mapped ? bytes.slice(12) : bytes)
}

function macOf(bytes: readonly number[]): string {
  return macFromBytes(Uint8Array.from(bytes))
}
