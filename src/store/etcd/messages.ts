/** Our store's words and the messages of the etcd v3 API, both ways. etcd api/etcdserverpb/rpc.proto */

import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { type Interval, intervalOf, toBytes, toText } from '../interval.ts'
import type {
  Compare,
  KeyRange,
  KeyValue,
  Operation,
  OperationResult,
  RangeOptions,
  RangeResult,
  Transaction,
  TransactionResult,
  WatchEvent,
} from '../store.ts'
import {
  Compare_CompareResult,
  Compare_CompareTarget,
  type CompareSchema,
  type RangeRequest,
  RangeRequestSchema,
  type RangeResponse,
  type RequestOpSchema,
  type ResponseHeader,
  type ResponseOp,
  type TxnRequest,
  TxnRequestSchema,
  type TxnResponse,
} from './gen/etcdserverpb/rpc_pb.js'
import { type Event, Event_EventType, type KeyValue as WireKeyValue } from './gen/mvccpb/kv_pb.js'

/** "And all keys that follow". */
const NO_END = new Uint8Array(1)

/** A range as the API says it. A single key goes as the interval up to its successor, which is the same. */
export function wireRange(range: KeyRange): { key: Uint8Array; rangeEnd: Uint8Array } {
  if ('key' in range) return { key: toBytes(range.key), rangeEnd: new Uint8Array(0) }
  const interval: Interval = intervalOf(range)
  return { key: interval.from, rangeEnd: interval.to ?? NO_END }
}

export function rangeRequest(range: KeyRange, options: RangeOptions): RangeRequest {
  return create(RangeRequestSchema, {
    ...wireRange(range),
    limit: BigInt(options.limit ?? 0),
    revision: BigInt(options.revision ?? 0),
    keysOnly: options.keysOnly ?? false,
    countOnly: options.countOnly ?? false,
  })
}

export function txnRequest(transaction: Transaction): TxnRequest {
  return create(TxnRequestSchema, {
    compare: (transaction.compare ?? []).map(wireCompare),
    success: transaction.success.map(requestOp),
    failure: (transaction.failure ?? []).map(requestOp),
  })
}

const RESULTS: Readonly<Record<Compare['is'], Compare_CompareResult>> = {
  '=': Compare_CompareResult.EQUAL,
  '!=': Compare_CompareResult.NOT_EQUAL,
  '<': Compare_CompareResult.LESS,
  '>': Compare_CompareResult.GREATER,
}

function wireCompare(compare: Compare): MessageInitShape<typeof CompareSchema> {
  const base = { ...wireRange(compare.range), result: RESULTS[compare.is] }
  const { value } = compare
  const union = <C extends string, V>(name: C, inner: V): { case: C; value: V } => ({
    case: name,
    value: inner,
  })
  switch (compare.target) {
    case 'createRevision':
      return {
        ...base,
        target: Compare_CompareTarget.CREATE,
        targetUnion: union('createRevision', BigInt(value)),
      }
    case 'modRevision':
      return {
        ...base,
        target: Compare_CompareTarget.MOD,
        targetUnion: union('modRevision', BigInt(value)),
      }
    case 'version':
      return {
        ...base,
        target: Compare_CompareTarget.VERSION,
        targetUnion: union('version', BigInt(value)),
      }
    case 'lease':
      return {
        ...base,
        target: Compare_CompareTarget.LEASE,
        targetUnion: union('lease', BigInt(value)),
      }
    case 'value':
      return {
        ...base,
        target: Compare_CompareTarget.VALUE,
        targetUnion: union('value', toBytes(String(value))),
      }
  }
}

function requestOp(operation: Operation): MessageInitShape<typeof RequestOpSchema> {
  switch (operation.kind) {
    case 'put': {
      const { key, value, lease = '0' } = operation
      const put = { key: toBytes(key), value: toBytes(value), lease: BigInt(lease) }
      return { request: { case: 'requestPut', value: put } }
    }
    case 'delete':
      return { request: { case: 'requestDeleteRange', value: wireRange(operation.range) } }
    case 'range': {
      const request = rangeRequest(operation.range, operation.options ?? {})
      return { request: { case: 'requestRange', value: request } }
    }
  }
}

export function rangeResult(response: RangeResponse, revision: number): RangeResult {
  return {
    revision,
    items: response.kvs.map(itemOf),
    count: Number(response.count),
    more: response.more,
  }
}

export function txnResult(response: TxnResponse): TransactionResult {
  const revision = revisionOf(response.header)
  const results = response.responses.map((one) => operationResult(one, revision))
  return { succeeded: response.succeeded, revision, results }
}

function operationResult({ response }: ResponseOp, revision: number): OperationResult {
  switch (response.case) {
    case 'responsePut':
      return { kind: 'put' }
    case 'responseDeleteRange':
      return { kind: 'delete', deleted: Number(response.value.deleted) }
    case 'responseRange':
      return { kind: 'range', ...rangeResult(response.value, revision) }
    default:
      throw new Error(`The store answered an operation with ${response.case ?? 'nothing'}`)
  }
}

export function revisionOf(header: ResponseHeader | undefined): number {
  return Number(header?.revision ?? 0)
}

/** An event in our words; undefined when it carries no key, which no server sends. */
export function eventOf(event: Event): WatchEvent | undefined {
  const { kv } = event
  if (kv === undefined) return undefined
  if (event.type === Event_EventType.PUT) return { kind: 'put', item: itemOf(kv) }
  return { kind: 'delete', key: toText(kv.key), modRevision: Number(kv.modRevision) }
}

/** The revision an event belongs to. */
export function eventRevision(event: WatchEvent): number {
  return event.kind === 'put' ? event.item.modRevision : event.modRevision
}

function itemOf(kv: WireKeyValue): KeyValue {
  return {
    key: toText(kv.key),
    value: toText(kv.value),
    createRevision: Number(kv.createRevision),
    modRevision: Number(kv.modRevision),
    version: Number(kv.version),
    lease: String(kv.lease),
  }
}
