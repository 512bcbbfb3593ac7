/** The engine's words and the messages of the etcd v3 API, both ways. etcd api/etcdserverpb/rpc.proto */

import { create, type MessageInitShape } from '@bufbuild/protobuf'
import {
  type Compare,
  Compare_CompareResult,
  Compare_CompareTarget,
  type DeleteRangeRequest,
  type DeleteRangeResponseSchema,
  type PutRequest,
  type RangeRequest,
  RangeRequest_SortOrder,
  RangeRequest_SortTarget,
  type RangeResponseSchema,
  type RequestOp,
  type ResponseHeader,
  ResponseHeaderSchema,
  type ResponseOpSchema,
  type TxnRequest,
  type TxnResponseSchema,
} from '../etcd/gen/etcdserverpb/rpc_pb.js'
import { type KeyValue, KeyValueSchema } from '../etcd/gen/mvccpb/kv_pb.js'
import { type Interval, singleKey } from '../interval.ts'
import type { Engine } from '../sqlite/engine.ts'
import type {
  Batch,
  BatchAnswer,
  Condition,
  Entry,
  RangeAnswer,
  RangeQuery,
  SortTarget,
  Step,
  StepAnswer,
} from '../sqlite/mvcc.ts'

/** The term of a store that never has elections. */
const RAFT_TERM = 1n

/** The header every answer carries. There is one member, so it has the cluster's id. */
export function headerOf(engine: Engine, revision = engine.revision): ResponseHeader {
  const { clusterId } = engine
  return create(ResponseHeaderSchema, {
    clusterId,
    memberId: clusterId,
    revision: BigInt(revision),
    raftTerm: RAFT_TERM,
  })
}

/** A range as the API says it: no end is one key, a zero byte is "and all that follow". */
export function intervalOfWire(key: Uint8Array, rangeEnd: Uint8Array): Interval {
  if (rangeEnd.length === 0) return singleKey(key)
  if (rangeEnd.length === 1 && rangeEnd[0] === 0) return { from: key, to: undefined }
  return { from: key, to: rangeEnd }
}

const SORT_TARGETS: Readonly<Record<RangeRequest_SortTarget, SortTarget>> = {
  [RangeRequest_SortTarget.KEY]: 'key',
  [RangeRequest_SortTarget.VERSION]: 'version',
  [RangeRequest_SortTarget.CREATE]: 'createRevision',
  [RangeRequest_SortTarget.MOD]: 'modRevision',
  [RangeRequest_SortTarget.VALUE]: 'value',
}

export function queryOf(request: RangeRequest): RangeQuery {
  return {
    interval: intervalOfWire(request.key, request.rangeEnd),
    limit: Number(request.limit),
    revision: Number(request.revision),
    keysOnly: request.keysOnly,
    countOnly: request.countOnly,
    sort: {
      by: SORT_TARGETS[request.sortTarget],
      descending: request.sortOrder === RangeRequest_SortOrder.DESCEND,
    },
    minModRevision: Number(request.minModRevision),
    maxModRevision: Number(request.maxModRevision),
    minCreateRevision: Number(request.minCreateRevision),
    maxCreateRevision: Number(request.maxCreateRevision),
  }
}

export function putStep(request: PutRequest): Step {
  return {
    kind: 'put',
    key: request.key,
    value: request.value,
    lease: String(request.lease),
    previous: request.prevKv,
    ignoreValue: request.ignoreValue,
    ignoreLease: request.ignoreLease,
  }
}

export function deleteStep(request: DeleteRangeRequest): Step {
  return {
    kind: 'delete',
    interval: intervalOfWire(request.key, request.rangeEnd),
    previous: request.prevKv,
  }
}

export function batchOf(request: TxnRequest): Batch {
  return {
    conditions: request.compare.map(conditionOf),
    success: request.success.flatMap(stepsOf),
    failure: request.failure.flatMap(stepsOf),
  }
}

/** An operation of a kind we do not know is an empty one, as for etcd. */
function stepsOf(operation: RequestOp): Step[] {
  const { request } = operation
  switch (request.case) {
    case 'requestRange':
      return [{ kind: 'range', query: queryOf(request.value) }]
    case 'requestPut':
      return [putStep(request.value)]
    case 'requestDeleteRange':
      return [deleteStep(request.value)]
    case 'requestTxn':
      return [{ kind: 'batch', batch: batchOf(request.value) }]
    case undefined:
      return []
  }
}

const RESULTS: Readonly<Record<Compare_CompareResult, Condition['is']>> = {
  [Compare_CompareResult.EQUAL]: '=',
  [Compare_CompareResult.GREATER]: '>',
  [Compare_CompareResult.LESS]: '<',
  [Compare_CompareResult.NOT_EQUAL]: '!=',
}

const NUMBERS: Readonly<Partial<Record<Compare_CompareTarget, NumberTarget>>> = {
  [Compare_CompareTarget.VERSION]: 'version',
  [Compare_CompareTarget.CREATE]: 'createRevision',
  [Compare_CompareTarget.MOD]: 'modRevision',
}
type NumberTarget = 'version' | 'createRevision' | 'modRevision'

/** A comparison without a value compares with zero, as for etcd. */
function conditionOf(compare: Compare): Condition {
  const { targetUnion } = compare
  const interval = intervalOfWire(compare.key, compare.rangeEnd)
  const base = { interval, is: RESULTS[compare.result] }
  const target = NUMBERS[compare.target]
  if (target !== undefined) {
    const given = targetUnion.case === undefined || targetUnion.case === 'value'
    return { ...base, target, value: given ? 0 : Number(targetUnion.value) }
  }
  if (compare.target === Compare_CompareTarget.LEASE) {
    const value = targetUnion.case === 'lease' ? String(targetUnion.value) : '0'
    return { ...base, target: 'lease', value }
  }
  const value = targetUnion.case === 'value' ? targetUnion.value : new Uint8Array(0)
  return { ...base, target: 'value', value }
}

export function rangeResponse(
  header: ResponseHeader,
  answer: RangeAnswer,
): MessageInitShape<typeof RangeResponseSchema> {
  return {
    header,
    kvs: answer.entries.map(keyValueOf),
    more: answer.more,
    count: BigInt(answer.count),
  }
}

export function txnResponse(
  header: ResponseHeader,
  answer: BatchAnswer,
): MessageInitShape<typeof TxnResponseSchema> {
  return {
    header,
    succeeded: answer.succeeded,
    responses: answer.answers.map((one) => responseOp(header, one)),
  }
}

export function deleteResponse(
  header: ResponseHeader,
  answer: Extract<StepAnswer, { kind: 'delete' }>,
): MessageInitShape<typeof DeleteRangeResponseSchema> {
  return { header, deleted: BigInt(answer.deleted), prevKvs: answer.previous.map(keyValueOf) }
}

function responseOp(
  header: ResponseHeader,
  answer: StepAnswer,
): MessageInitShape<typeof ResponseOpSchema> {
  switch (answer.kind) {
    case 'range':
      return { response: { case: 'responseRange', value: rangeResponse(header, answer) } }
    case 'put':
      return { response: { case: 'responsePut', value: { header, ...previousOf(answer) } } }
    case 'delete':
      return { response: { case: 'responseDeleteRange', value: deleteResponse(header, answer) } }
    case 'batch':
      return { response: { case: 'responseTxn', value: txnResponse(header, answer.answer) } }
  }
}

/** The field `prev_kv` of an answer or an event, when there is one. */
export function previousOf(holder: { readonly previous: Entry | undefined }): {
  prevKv?: KeyValue
} {
  return holder.previous === undefined ? {} : { prevKv: keyValueOf(holder.previous) }
}

export function keyValueOf(entry: Entry): KeyValue {
  return create(KeyValueSchema, {
    key: entry.key,
    value: entry.value,
    createRevision: BigInt(entry.createRevision),
    modRevision: BigInt(entry.modRevision),
    version: BigInt(entry.version),
    lease: BigInt(entry.lease),
  })
}
