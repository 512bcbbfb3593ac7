/** Leases of the etcd v3 API, answered by the engine. */

import type { ServiceImpl } from '@connectrpc/connect'
import type { Lease } from '../etcd/gen/etcdserverpb/rpc_pb.js'
import type { Engine } from '../sqlite/engine.ts'
import { answer, guardOf, type MayWrite } from './caller.ts'
import { headerOf } from './messages.ts'

export function leaseService(engine: Engine, mayWrite: MayWrite): ServiceImpl<typeof Lease> {
  const { leases } = engine
  return {
    leaseGrant: (request) =>
      answer(async () => {
        const granted = await leases.grant(Number(request.TTL), String(request.ID))
        const TTL = BigInt(granted.ttlSeconds)
        return { header: headerOf(engine), ID: BigInt(granted.id), TTL }
      }),
    leaseRevoke: (request, context) =>
      answer(async () => {
        await leases.revoke(String(request.ID), guardOf(mayWrite, context))
        return { header: headerOf(engine) }
      }),
    // a lease that has ended is answered with no time left
    async *leaseKeepAlive(requests) {
      for await (const { ID } of requests) {
        const TTL = BigInt(leases.keepAlive(String(ID)) ?? 0)
        yield { header: headerOf(engine), ID, TTL }
      }
    },
    leaseTimeToLive: (request) => {
      const info = leases.info(String(request.ID))
      const header = headerOf(engine)
      if (info === undefined) return { header, ID: request.ID, TTL: -1n }
      return {
        header,
        ID: request.ID,
        TTL: BigInt(info.remainingSeconds),
        grantedTTL: BigInt(info.grantedSeconds),
        keys: request.keys ? [...info.keys] : [],
      }
    },
    leaseLeases: () => ({
      header: headerOf(engine),
      leases: leases.ids().map((id) => ({ ID: BigInt(id) })),
    }),
  }
}
