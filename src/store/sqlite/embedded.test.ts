/** The embedded store passes the suite of all stores. */

import { afterAll } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { testConformance } from '../conformance/suite.ts'
import { openEmbeddedStore } from './embedded.ts'

const directory = mkdtempSync(join(tmpdir(), 'ckt-embedded-'))
const store = openEmbeddedStore({ path: join(directory, 'store.db') })

afterAll(async () => {
  await store[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true })
})

testConformance({ name: 'embedded', store: () => store, runs: 100 })
