/** Keys and values of the etcd v3 API, answered by the engine. */

import type { HandlerContext, ServiceImpl } from '@connectrpc/connect'
import type { KV } from '../etcd/gen/etcdserverpb/rpc_pb.js'
import type { Engine } from '../sqlite/engine.ts'
import type { Revised, Step, StepAnswer } from '../sqlite/mvcc.ts'
import { answer, guardOf, type MayWrite } from './caller.ts'
import {
  batchOf,
  deleteResponse,
  deleteStep,
  headerOf,
  previousOf,
  putStep,
  queryOf,
  rangeResponse,
  txnResponse,
} from './messages.ts'

export function kvService(engine: Engine, mayWrite: MayWrite): ServiceImpl<typeof KV> {
  async function one(step: Step, context: HandlerContext): Promise<Revised<StepAnswer>> {
    const batch = { conditions: [], success: [step], failure: [] }
    const { answers, revision } = await engine.txn(batch, guardOf(mayWrite, context))
    const [first] = answers
    if (first === undefined) throw new Error('A batch of one step gave no answer')
    return { ...first, revision }
  }
  return {
    range: (request) =>
      answer(() => {
        const found = engine.range(queryOf(request))
        return rangeResponse(headerOf(engine, found.revision), found)
      }),
    put: (request, context) =>
      answer(async () => {
        const done = await one(putStep(request), context)
        const previous = done.kind === 'put' ? previousOf(done) : {}
        return { header: headerOf(engine, done.revision), ...previous }
      }),
    deleteRange: (request, context) =>
      answer(async () => {
        const done = await one(deleteStep(request), context)
        if (done.kind !== 'delete') throw new Error(`A delete was answered by a ${done.kind}`)
        return deleteResponse(headerOf(engine, done.revision), done)
      }),
    txn: (request, context) =>
      answer(async () => {
        const done = await engine.txn(batchOf(request), guardOf(mayWrite, context))
        return txnResponse(headerOf(engine, done.revision), done)
      }),
    compact: (request) =>
      answer(async () => {
        await engine.compact(Number(request.revision))
        return { header: headerOf(engine) }
      }),
  }
}
