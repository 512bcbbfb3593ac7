/** What tools ask a member of etcd about itself: there is one member, it leads, and raises no alarms. */

import type { ServiceImpl } from '@connectrpc/connect'
import type { Cluster, Maintenance } from '../etcd/gen/etcdserverpb/rpc_pb.js'
import type { Engine } from '../sqlite/engine.ts'
import { headerOf } from './messages.ts'

/** The version of the API that is spoken. */
const API_VERSION = '3.4.0'

export function clusterService(
  engine: Engine,
  member: { readonly name: string; readonly clientUrls: () => readonly string[] },
): ServiceImpl<typeof Cluster> {
  const { name, clientUrls } = member
  return {
    memberList: () => ({
      header: headerOf(engine),
      members: [{ ID: engine.clusterId, name, clientURLs: [...clientUrls()] }],
    }),
  }
}

export function maintenanceService(engine: Engine): ServiceImpl<typeof Maintenance> {
  return {
    alarm: () => ({ header: headerOf(engine) }),
    status: () => {
      const header = headerOf(engine)
      const size = BigInt(engine.sizeBytes)
      return {
        header,
        version: API_VERSION,
        dbSize: size,
        dbSizeInUse: size,
        leader: engine.clusterId,
        raftIndex: header.revision,
        raftAppliedIndex: header.revision,
        raftTerm: header.raftTerm,
      }
    },
  }
}
