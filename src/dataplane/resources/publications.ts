/**
 * Published ports: elements of our table's maps. The first packet of a connection to an address of the host
 * is looked up by address, protocol and port, then by protocol and port, and sent on to the container; for a
 * network with an index a second map marks the connection. However many ports there are, that is all.
 * Many come and go in one transaction. Connections of what went, and datagrams that were under way to a port
 * before it was published, are told to be forgotten.
 */

import { keyOfPort, type PortForward } from '../../hoststate/ports.ts'
import { MARK } from '../../hoststate/state.ts'
import { errnoOf } from '../../kernel/errno.ts'
import type { KernelView } from '../../kernel/kernel.ts'
import type { NftElement, NftElementChange } from '../../kernel/nftables/objects.ts'
import { NetworkError } from '../../lib/errors.ts'
import { type Family, familyOf, type IP, ipBytes, ipFromBytes } from '../../net/ip.ts'
import { IPPROTO, type TransportProtocol } from '../../net/protocol.ts'
import type { Resource } from '../resource.ts'
import type { StaleFlow } from '../stale-flows.ts'

/** The maps of one family: with an address of the host in the key, or without. */
interface Place {
  readonly family: Family
  readonly ports: 'ports4_at' | 'ports4_any' | 'ports6_at' | 'ports6_any'
  readonly marks: 'marks4_at' | 'marks4_any' | 'marks6_at' | 'marks6_any'
  readonly withAddress: boolean
}

const PLACES: readonly Place[] = [
  { family: 4, ports: 'ports4_at', marks: 'marks4_at', withAddress: true },
  { family: 4, ports: 'ports4_any', marks: 'marks4_any', withAddress: false },
  { family: 6, ports: 'ports6_at', marks: 'marks6_at', withAddress: true },
  { family: 6, ports: 'ports6_any', marks: 'marks6_any', withAddress: false },
]

const TABLE = { family: 'inet', table: MARK.table } as const

/** A port whose half in the map of marks stands alone leads here, so that it is a leftover to everybody. */
const NOWHERE: Readonly<Record<Family, IP>> = {
  4: ipFromBytes(new Uint8Array(4)),
  6: ipFromBytes(new Uint8Array(16)),
}

/** `onStale` is told which connections are to be forgotten, before the change that makes them so. */
export function publications(
  kernel: Pick<KernelView, 'nft'>,
  onStale: (flows: readonly StaleFlow[]) => void,
): Resource<PortForward> {
  /** Ports with an index that stand, as last read or put: a port that has lost its index is put without a word of it. */
  const marked = new Map<string, PortForward>()

  return {
    kind: 'publication',
    equal: (want, have) =>
      keyOfPort(want) === keyOfPort(have) &&
      want.address === have.address &&
      want.containerPort === have.containerPort &&
      want.index === have.index,
    *list() {
      marked.clear()
      for (const port of listPorts()) {
        if (port.index !== 0) marked.set(keyOfPort(port), port)
        yield port
      }
    },
    put: (want) => putPorts([want]),
    putMany: putPorts,
    remove: (have) => removePorts([have]),
    removeMany: removePorts,
  }

  function* listPorts(): Generator<PortForward> {
    for (const place of PLACES) {
      const marked = new Map<string, NftElement>()
      for (const element of elements(place.marks)) marked.set(textOf(element.key), element)
      for (const { key, value } of elements(place.ports)) {
        const mark = marked.get(textOf(key))
        marked.delete(textOf(key))
        const port = portOf(place, key, value, indexOf(mark))
        if (port !== undefined) yield port
      }
      for (const { key, chain } of marked.values()) {
        const port = portOf(place, key, undefined, indexOf({ chain }))
        if (port !== undefined) yield port
      }
    }
  }

  function putPorts(wants: readonly PortForward[]): void {
    const indexGone = wants.some(
      (want) => (marked.get(keyOfPort(want))?.index ?? want.index) !== want.index,
    )
    // Of the others each connection begins with a packet that netfilter takes for a new one.
    const datagrams = wants.filter(({ protocol }) => protocol === 'udp')
    onStale(datagrams.map((port) => ({ kind: 'bypassing', port })))
    try {
      if (indexGone) replacePorts(wants)
      else kernel.nft.change(changes('add', wants))
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw missingTable(error)
      replacePorts(wants)
    }
    for (const port of wants) {
      if (port.index === 0) marked.delete(keyOfPort(port))
      else marked.set(keyOfPort(port), port)
    }
  }

  /** Some lead elsewhere now: in one transaction they go and come. */
  function replacePorts(wants: readonly PortForward[]): void {
    const keys = new Set(wants.map(keyOfPort))
    const inTheWay = [...listPorts()].filter((have) => keys.has(keyOfPort(have)))
    onStale(inTheWay.map((port) => ({ kind: 'forwarded', port })))
    kernel.nft.change([...changes('delete', inTheWay), ...changes('add', wants)])
  }

  function removePorts(haves: readonly PortForward[]): void {
    onStale(haves.map((port) => ({ kind: 'forwarded', port })))
    try {
      kernel.nft.change(changes('delete', haves))
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error
      const keys = new Set(haves.map(keyOfPort))
      const there = [...listPorts()].filter((have) => keys.has(keyOfPort(have)))
      if (there.length > 0) kernel.nft.change(changes('delete', there))
    }
    for (const port of haves) marked.delete(keyOfPort(port))
  }

  function elements(name: Place['ports'] | Place['marks']): readonly NftElement[] {
    return kernel.nft.elements({ ...TABLE, name }) ?? []
  }
}

/** What adds or deletes the elements of all these ports. */
function changes(
  verb: 'add' | 'delete',
  ports: readonly PortForward[],
): readonly NftElementChange[] {
  const lists = new Map<string, NftElement[]>()
  const enter = (map: string, element: NftElement): void => {
    const list = lists.get(map)
    if (list === undefined) lists.set(map, [element])
    else list.push(element)
  }
  for (const port of ports) {
    const place = placeOf(port)
    const key = keyBytes(port)
    if (port.address !== NOWHERE[place.family]) {
      const value = padded(ipBytes(port.address), portBytes(port.containerPort))
      enter(place.ports, { key, value, chain: undefined })
    }
    if (port.index !== 0) {
      enter(place.marks, { key, value: new Uint8Array(0), chain: `to_${port.index}` })
    }
  }
  return Array.from(lists, ([name, elements]) => ({ verb, ...TABLE, name, elements }))
}

function keyBytes({ hostAddress, protocol, hostPort }: PortForward): Uint8Array {
  return padded(
    hostAddress === undefined ? new Uint8Array(0) : ipBytes(hostAddress),
    Uint8Array.of(IPPROTO[protocol]),
    portBytes(hostPort),
  )
}

function portBytes(port: number): Uint8Array {
  return Uint8Array.of(port >> 8, port & 0xff)
}

/** Parts of a key or value stand on four-byte borders. */
function padded(...parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts.flatMap((part) => [part, new Uint8Array(-part.length & 3)]))
}

function placeOf({ address, hostAddress }: PortForward): Place {
  const place = PLACES.find(
    ({ family, withAddress }) =>
      family === familyOf(address) && withAddress === (hostAddress !== undefined),
  )
  if (place === undefined) throw new Error('there are maps for every family')
  return place
}

/** The parts of a key are the address, the protocol's number, the port. */
function portOf(
  { family, withAddress }: Place,
  key: Uint8Array,
  value: Uint8Array | undefined,
  index: number,
): PortForward | undefined {
  const addressBytes = family === 4 ? 4 : 16
  const at = withAddress ? addressBytes : 0
  if (key.length < at + 8) return undefined
  const protocol = protocolOf(key[at])
  if (protocol === undefined) return undefined
  const bytes = Buffer.from(key)
  const port = {
    kind: 'publication' as const,
    protocol,
    ...(withAddress ? { hostAddress: ipFromBytes(key.subarray(0, addressBytes)) } : {}),
    hostPort: bytes.readUInt16BE(at + 4),
  }
  if (value === undefined || value.length < addressBytes + 4) {
    return { ...port, address: NOWHERE[family], containerPort: 0, index }
  }
  return {
    ...port,
    address: ipFromBytes(value.subarray(0, addressBytes)),
    containerPort: Buffer.from(value).readUInt16BE(addressBytes),
    index,
  }
}

function protocolOf(number: number | undefined): TransportProtocol | undefined {
  return (['tcp', 'udp', 'sctp'] as const).find((each) => IPPROTO[each] === number)
}

function indexOf(element: Pick<NftElement, 'chain'> | undefined): number {
  return Number(/^to_(\d+)$/.exec(element?.chain ?? '')?.[1] ?? 0)
}

function textOf(key: Uint8Array): string {
  return Buffer.from(key).toString('hex')
}

/** The table is put before its elements; that it is away is told as what it is. */
function missingTable(error: unknown): unknown {
  if (errnoOf(error) !== 'ENOENT') return error
  return new NetworkError(
    'unavailable',
    `Cannot publish a port: the table ${MARK.table}, or the network's chain in it, is not there`,
    { cause: error },
  )
}
