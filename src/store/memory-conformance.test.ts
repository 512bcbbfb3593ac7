/** The memory store keeps the promises of every store, or the tests that use it prove nothing. */

import { afterAll } from 'bun:test'
import { testConformance } from './conformance/suite.ts'
import { MemoryCluster } from './memory.ts'

const cluster = new MemoryCluster({ now: () => performance.now() })
const store = cluster.client()
const ticking = setInterval(() => cluster.tick(), 20)

afterAll(() => clearInterval(ticking))

testConformance({ name: 'in memory', store: () => store, runs: 100 })
