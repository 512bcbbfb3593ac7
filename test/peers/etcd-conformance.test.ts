/** A real etcd of three members passes the suite of all stores: what we call its semantics is what it does. */

import { afterAll } from 'bun:test'
import { testConformance } from '../../src/store/conformance/suite.ts'
import { connectEtcd } from '../../src/store/etcd/client.ts'
import { startEtcd } from './etcd-fixture.ts'

const cluster = await startEtcd()
const store = connectEtcd({ endpoints: cluster.endpoints })

afterAll(async () => {
  await store[Symbol.asyncDispose]()
  await cluster[Symbol.asyncDispose]()
})

testConformance({ name: 'etcd', store: () => store, runs: 20 })
