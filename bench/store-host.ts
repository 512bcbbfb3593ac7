/**
 * The process behind RemoteWorld: `store-host.ts ADDRESS PORT`. It serves an embedded store of its own over
 * the etcd API, in clear, as a plain etcd would inside a trusted network, and writes into it what a large
 * cluster would have written. Requests come as lines of JSON on standard input; it ends with its input.
 */

import { once } from 'node:events'
import { createServer } from 'node:http2'
import { createInterface } from 'node:readline'
import { createContextValues } from '@connectrpc/connect'
import { connectNodeAdapter } from '@connectrpc/connect-node'
import { messageOf } from '../src/lib/errors.ts'
import { keys } from '../src/model/keys.ts'
import type { Network } from '../src/model/network.ts'
import {
  Cluster,
  KV,
  Lease,
  Maintenance,
  Watch,
} from '../src/store/etcd/gen/etcdserverpb/rpc_pb.js'
import { callerKey } from '../src/store/served/caller.ts'
import { kvService } from '../src/store/served/kv-service.ts'
import { leaseService } from '../src/store/served/lease-service.ts'
import { clusterService, maintenanceService } from '../src/store/served/member-service.ts'
import { watchService } from '../src/store/served/watch-service.ts'
import { type EmbeddedStore, openEmbeddedStore } from '../src/store/sqlite/embedded.ts'
import { endpointRecord, recordsOfHost, type StoreRecord } from './remote-records.ts'
import type { WorldAnswer, WorldRequest } from './remote-world.ts'

/** Conventions §11: at most so many operations in one transaction. */
const OPERATIONS = 100

/** What has been filled in, so that it can be changed. */
interface Filled {
  readonly network: Network
  readonly hosts: number
  readonly endpointsPerHost: number
}

const [host = '127.0.0.1', port = '2379'] = process.argv.slice(2)
await main(host, Number(port))

async function main(host: string, port: number): Promise<void> {
  await using store = openEmbeddedStore({ path: '/run/store-host/store.db' })
  const server = await serve(store, host, port)
  answer({ ok: true })
  let filled: Filled | undefined
  let timer: NodeJS.Timeout | undefined
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      const request = JSON.parse(line) as WorldRequest // written by remote-world.ts alone
      if (request.ask === 'fill') filled = await fill(store, request)
      else {
        clearInterval(timer)
        if (request.changesPerSecond > 0) timer = churn(store, filled, request.changesPerSecond)
      }
      answer({ ok: true })
    } catch (error) {
      answer({ ok: false, why: messageOf(error) })
    }
  }
  clearInterval(timer)
  server.close()
}

async function serve(store: EmbeddedStore, host: string, port: number) {
  const { engine } = store
  const mayWrite = () => true
  const member = { name: 'bench', clientUrls: () => [`http://${host}:${port}`] }
  const handler = connectNodeAdapter({
    routes: (router) => {
      router.service(KV, kvService(engine, mayWrite))
      router.service(Watch, watchService(engine))
      router.service(Lease, leaseService(engine, mayWrite))
      router.service(Cluster, clusterService(engine, member))
      router.service(Maintenance, maintenanceService(engine))
    },
    // In clear there are no certificates: every caller is the one host there is.
    contextValues: () => createContextValues().set(callerKey, 'host'),
    connect: false,
    grpcWeb: false,
  })
  const server = createServer(handler)
  server.listen(port, host)
  await once(server, 'listening')
  return server
}

async function fill(
  store: EmbeddedStore,
  { networkId, hosts, endpointsPerHost }: Extract<WorldRequest, { ask: 'fill' }>,
): Promise<Filled> {
  const [item] = (await store.range({ key: keys.network(networkId) })).items
  if (item === undefined) throw new Error(`No network ${networkId} in the store`)
  const network = JSON.parse(item.value) as Network // written by the daemon under test
  for (let index = 0; index < hosts; index++) {
    await put(store, recordsOfHost(network, index, endpointsPerHost))
  }
  return { network, hosts, endpointsPerHost }
}

async function put(store: EmbeddedStore, records: readonly StoreRecord[]): Promise<void> {
  for (let begin = 0; begin < records.length; begin += OPERATIONS) {
    const piece = records.slice(begin, begin + OPERATIONS)
    await store.txn({ success: piece.map(({ key, value }) => ({ kind: 'put', key, value })) })
  }
}

/** Every time another container takes an address, host by host through the cluster. */
function churn(
  store: EmbeddedStore,
  filled: Filled | undefined,
  changesPerSecond: number,
): NodeJS.Timeout {
  if (filled === undefined) throw new Error('Nothing has been filled in that could change')
  const { network, hosts, endpointsPerHost } = filled
  let turn = 0
  return setInterval(() => {
    const number = Math.floor(turn / hosts) % endpointsPerHost
    const generation = 1 + Math.floor(turn / (hosts * endpointsPerHost))
    const record = endpointRecord(network, turn % hosts, number, generation)
    turn++
    put(store, [record]).catch((error: unknown) => console.error(error))
  }, 1000 / changesPerSecond)
}

function answer(message: WorldAnswer): void {
  console.log(JSON.stringify(message))
}
