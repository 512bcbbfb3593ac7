/**
 * From the text of a record to a typed value. What other hosts wrote is checked here, field by field, before
 * anything believes it; equal strings are shared, because twenty thousand endpoints say the same few things.
 */

import { isDeepStrictEqual } from 'node:util'
import type { AddressClaim, Block } from '../../model/block.ts'
import { ATTACHMENTS, type Endpoint, type PublishedEndpoint } from '../../model/endpoint.ts'
import type { EngineNetwork } from '../../model/engine-network.ts'
import type { Alive, Host, HostFacts, HostStatus } from '../../model/host.ts'
import { isOfHostRecord, type ParsedKey, parseKey, ROOT } from '../../model/keys.ts'
import {
  CARRIERS,
  type Carrier,
  type Network,
  OPENINGS,
  type Opening,
} from '../../model/network.ts'
import { HIGHEST_PORT, PROTOCOLS, type Publication } from '../../model/publication.ts'
import type { Reservation } from '../../model/reservation.ts'
import { parseIP } from '../../net/ip.ts'
import { parseMac } from '../../net/mac.ts'
import { parsePrefix } from '../../net/prefix.ts'
import type { KeyRange } from '../store.ts'
import { readDelegate, readEndpointShape } from './endpoint-shape.ts'
import { readDockerSide, readEngineNetwork } from './engine-records.ts'
import { asObject, type Fields, listOf, parseObject, textOf } from './fields.ts'
import { readAlive, readFacts, readStatus, readUnderlay } from './host-records.ts'
import { readForced, readReservation } from './network-records.ts'

/** A record and where it belongs. */
export type Item =
  | { readonly kind: 'network'; readonly id: string; readonly record: Network }
  | { readonly kind: 'host'; readonly id: string; readonly record: Host }
  | { readonly kind: 'alive'; readonly id: string; readonly record: Alive }
  | { readonly kind: 'facts'; readonly id: string; readonly record: HostFacts }
  | { readonly kind: 'status'; readonly id: string; readonly record: HostStatus }
  | { readonly kind: 'endpoint'; readonly id: string; readonly record: PublishedEndpoint }
  | { readonly kind: 'publication'; readonly id: string; readonly record: Publication }
  | { readonly kind: 'engine-network'; readonly networkId: string; readonly record: EngineNetwork }
  | { readonly kind: 'block'; readonly networkId: string; readonly record: Block }
  | { readonly kind: 'address'; readonly networkId: string; readonly record: AddressClaim }
  | { readonly kind: 'reservation'; readonly networkId: string; readonly record: Reservation }

export type Parsed =
  | { readonly ok: true; readonly item: Item }
  | { readonly ok: false; readonly problem: string }

/** Newest schema of a record that this version reads. */
const SCHEMA = 1
/** Shared strings are forgotten and collected anew beyond this many. */
const MOST_SHARED = 50_000

/** Reads records; keeps one copy of every string and label set that repeats. */
export class RecordReader {
  readonly #strings = new Map<string, string>()
  readonly #labels = new Map<string, Readonly<Record<string, string>>>()

  /** The record at `key`, or why there is none. */
  read(key: string, parsedKey: ParsedKey, text: string): Parsed {
    const fields = parseObject(text)
    if (fields === undefined) return { ok: false, problem: 'it is not a JSON object' }
    const schema = fields['schema']
    if (typeof schema === 'number' && schema > SCHEMA) {
      return { ok: false, problem: `its schema is ${schema}, this version knows up to ${SCHEMA}` }
    }
    const item = this.#item(parsedKey, fields)
    if (item === undefined) return { ok: false, problem: 'a field is missing or malformed' }
    // whoever may write a key may not speak for another (R49)
    if (!belongs(item, parsedKey)) return { ok: false, problem: `it does not belong at "${key}"` }
    return { ok: true, item }
  }

  /** An endpoint of this host as its journal has it; undefined when malformed. */
  readOwn(text: string): Endpoint | undefined {
    const fields = parseObject(text)
    const published = fields && this.#endpoint(fields)
    const sandbox = fields && asObject(fields['sandbox'])
    if (fields === undefined || published === undefined || sandbox === undefined) return undefined
    const { device, number, run } = fields
    const { path, inode } = sandbox
    if (typeof path !== 'string' || typeof inode !== 'number') return undefined
    if (typeof device !== 'string' || typeof number !== 'number') return undefined
    const delegate = readDelegate(fields['delegate'])
    return {
      ...{ ...published, sandbox: { path, inode }, device, number },
      ...(typeof run === 'string' ? { run } : {}),
      ...(delegate === undefined ? {} : { delegate }),
    }
  }

  /** A published port; undefined when malformed. */
  readPublication(text: string): Publication | undefined {
    const fields = parseObject(text)
    return fields && this.#publication(fields)
  }

  /** A network on an engine; undefined when malformed. */
  readEngineNetwork(text: string): EngineNetwork | undefined {
    const fields = parseObject(text)
    return fields && readEngineNetwork(fields)
  }

  /** A host record; undefined when malformed. */
  readHost(text: string): Host | undefined {
    const fields = parseObject(text)
    return fields && this.#host(fields)
  }

  /** A host's sign of life; undefined when malformed. */
  readAlive(text: string): Alive | undefined {
    const fields = parseObject(text)
    return fields && readAlive(fields)
  }

  /** An endpoint as its host published it; undefined when malformed. */
  readPublished(text: string): PublishedEndpoint | undefined {
    const fields = parseObject(text)
    return fields && this.#endpoint(fields)
  }

  #item(key: ParsedKey, fields: Fields): Item | undefined {
    switch (key.kind) {
      case 'network':
        return withRecord({ kind: key.kind, id: key.networkId }, this.#network(fields))
      case 'host':
        return withRecord({ kind: key.kind, id: key.hostId }, this.#host(fields))
      case 'alive':
        return withRecord({ kind: key.kind, id: key.hostId }, readAlive(fields))
      case 'facts':
        return withRecord({ kind: key.kind, id: key.hostId }, readFacts(fields))
      case 'status':
        return withRecord({ kind: key.kind, id: key.hostId }, readStatus(fields))
      case 'endpoint':
        return withRecord({ kind: key.kind, id: key.id }, this.#endpoint(fields))
      case 'publication':
        return withRecord({ kind: key.kind, id: key.id }, this.#publication(fields))
      case 'engine-network':
        return withRecord({ kind: key.kind, networkId: key.networkId }, readEngineNetwork(fields))
      case 'block':
        return withRecord({ kind: key.kind, networkId: key.networkId }, this.#block(fields))
      case 'address':
        return withRecord({ kind: key.kind, networkId: key.networkId }, this.#claim(fields))
      case 'reservation':
        return withRecord({ kind: key.kind, networkId: key.networkId }, readReservation(fields))
      default:
        return key satisfies never
    }
  }

  #network(fields: Fields): Network | undefined {
    const { id, name, vni, createdAt, mtuBytes } = fields
    const prefixes = listOf(fields['prefixes'], textOf(parsePrefix))
    const gateways = listOf(fields['gateways'], textOf(parseIP))
    const carrier = carrierOf(fields['carrier'])
    const labels = this.#labelsOf(fields['labels'])
    if (typeof id !== 'string' || typeof name !== 'string' || typeof vni !== 'number') return
    if (prefixes === undefined || prefixes.length === 0) return
    if (gateways?.length !== prefixes.length || carrier === undefined) return
    if (labels === undefined || typeof createdAt !== 'string') return
    const common = { schema: 1, id: this.#share(id), name, vni, prefixes, gateways } as const
    const open = openings(fields['open'])
    if (open === undefined) return
    const alsoAccepts = carrierOf(fields['alsoAccepts'])
    const forced = readForced(fields['forced'])
    const docker = readDockerSide(fields['docker'])
    return {
      ...common,
      carrier,
      ...(typeof mtuBytes === 'number' ? { mtuBytes } : {}),
      internal: fields['internal'] === true,
      masquerade: fields['masquerade'] !== false,
      open,
      ...(alsoAccepts === undefined ? {} : { alsoAccepts }),
      ...(forced === undefined ? {} : { forced }),
      ...(docker === undefined ? {} : { docker }),
      labels,
      createdAt,
    }
  }

  #host(fields: Fields): Host | undefined {
    const { id, name, index, vxlanPort, version, publishedSequence, epoch } = fields
    const underlay = listOf(fields['underlay'], readUnderlay)
    const carriers = listOf(fields['carriers'], (value) => this.#shared(value))
    if (typeof id !== 'string' || typeof name !== 'string' || typeof index !== 'number') return
    if (underlay === undefined || carriers === undefined) return
    if (typeof vxlanPort !== 'number' || typeof version !== 'string') return
    if (typeof publishedSequence !== 'number' || typeof epoch !== 'number') return
    const common = { schema: 1, id: this.#share(id), name, index, underlay, vxlanPort } as const
    return { ...common, carriers, version: this.#share(version), publishedSequence, epoch }
  }

  #endpoint(fields: Fields): PublishedEndpoint | undefined {
    const { id, name, createdAt, order = 0 } = fields
    const networkId = this.#shared(fields['networkId'])
    const hostId = this.#shared(fields['hostId'])
    const ifname = this.#shared(fields['ifname'])
    const addresses = listOf(fields['addresses'], textOf(parseIP))
    const mac = textOf(parseMac)(fields['mac'])
    const labels = this.#labelsOf(fields['labels'])
    if (typeof id !== 'string' || typeof createdAt !== 'string') return
    if (typeof order !== 'number' || order < 0) return
    if (networkId === undefined || hostId === undefined || ifname === undefined) return
    if (addresses === undefined || mac === undefined || labels === undefined) return
    const common = { schema: 1, id, networkId, hostId, addresses, mac, labels } as const
    // how a later version attaches is its own business
    const attachment = ATTACHMENTS.find((known) => known === fields['attachment'])
    return {
      ...common,
      ...(attachment === undefined ? {} : { attachment }),
      ...{ ifname, order, createdAt },
      ...readEndpointShape(fields),
      ...(typeof name === 'string' ? { name } : {}),
    }
  }

  #publication(fields: Fields): Publication | undefined {
    const { id, hostPort, containerPort, count, createdAt } = fields
    const networkId = this.#shared(fields['networkId'])
    const hostId = this.#shared(fields['hostId'])
    const endpointId = this.#shared(fields['endpointId'])
    const protocol = PROTOCOLS.find((known) => known === fields['protocol'])
    const hostAddress = textOf(parseIP)(fields['hostAddress'])
    if (typeof id !== 'string' || typeof createdAt !== 'string') return
    if (networkId === undefined || hostId === undefined || endpointId === undefined) return
    if (protocol === undefined || !isPort(hostPort) || !isPort(containerPort)) return
    if (typeof count !== 'number' || !Number.isInteger(count) || count < 1) return
    if (!isPort(hostPort + count - 1) || !isPort(containerPort + count - 1)) return
    if (hostAddress === undefined && 'hostAddress' in fields) return
    const common = { schema: 1, id, networkId, hostId, endpointId, protocol } as const
    const publication = { ...common, hostPort, containerPort, count, createdAt }
    return hostAddress === undefined ? publication : { ...publication, hostAddress }
  }

  #block(fields: Fields): Block | undefined {
    const prefix = textOf(parsePrefix)(fields['prefix'])
    const networkId = this.#shared(fields['networkId'])
    const hostId = this.#shared(fields['hostId'])
    const { epoch } = fields
    if (prefix === undefined || networkId === undefined || hostId === undefined) return
    return typeof epoch === 'number' ? { schema: 1, networkId, prefix, hostId, epoch } : undefined
  }

  #claim(fields: Fields): AddressClaim | undefined {
    const address = textOf(parseIP)(fields['address'])
    const networkId = this.#shared(fields['networkId'])
    const hostId = this.#shared(fields['hostId'])
    const { endpointId } = fields
    if (address === undefined || networkId === undefined || hostId === undefined) return
    if (typeof endpointId !== 'string') return
    return { schema: 1, networkId, address, hostId, endpointId }
  }

  #shared(value: unknown): string | undefined {
    return typeof value === 'string' ? this.#share(value) : undefined
  }

  #share(text: string): string {
    const known = this.#strings.get(text)
    if (known !== undefined) return known
    if (this.#strings.size >= MOST_SHARED) this.#strings.clear()
    this.#strings.set(text, text)
    return text
  }

  #labelsOf(value: unknown): Readonly<Record<string, string>> | undefined {
    const fields = asObject(value)
    if (fields === undefined) return undefined
    const text = JSON.stringify(fields)
    const known = this.#labels.get(text)
    if (known !== undefined) return known
    if (!Object.values(fields).every((label) => typeof label === 'string')) return undefined
    if (this.#labels.size >= MOST_SHARED) this.#labels.clear()
    const labels = fields as Readonly<Record<string, string>> // every value was looked at
    this.#labels.set(text, labels)
    return labels
  }
}

/** True when both say the same. */
export function sameRecord(a: unknown, b: unknown): boolean {
  return a === b || isDeepStrictEqual(a, b)
}

function belongs({ kind, record }: Item, key: ParsedKey): boolean {
  if (kind === 'network') return record.id === ('networkId' in key && key.networkId)
  if (kind === 'host') return record.id === ('hostId' in key && key.hostId)
  if ('networkId' in key && 'networkId' in record && record.networkId !== key.networkId)
    return false
  if (kind === 'reservation') return 'name' in key && record.name === key.name
  if (!isOfHostRecord(key) || !('id' in record)) return true
  return record.id === key.id && record.hostId === key.hostId
}

function withRecord<P extends object, R>(place: P, record: R | undefined) {
  return record === undefined ? undefined : { ...place, record }
}

function isPort(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= HIGHEST_PORT
}

function carrierOf(value: unknown): Carrier | undefined {
  return CARRIERS.find((known) => known === value)
}

/** Absent means none. An opening that this version does not know stays closed. */
function openings(value: unknown): readonly Opening[] | undefined {
  if (value === undefined) return []
  if (!Array.isArray(value)) return undefined
  return OPENINGS.filter((known) => value.includes(known))
}

/** Everything under our root before the tokens, which sort last and are nobody's business here. */
export const RANGE = { from: ROOT, to: `${ROOT}tokens/` } as const satisfies KeyRange

/** Keys under our root that are not for the replica: what only transactions and requests read. */
const UNREAD = /^\/carrick\/(cluster$|(counters|guards|host-names|ipam|network-names|tokens)\/)/

/** What the key is the address of; `unread` for what the replica passes over, undefined for the unknown. */
export function readKey(key: string): ParsedKey | 'unread' | undefined {
  return parseKey(key) ?? (UNREAD.test(key) ? 'unread' : undefined)
}
