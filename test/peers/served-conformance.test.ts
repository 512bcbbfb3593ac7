/** The served store, through our client and mutual TLS, passes the suite of all stores. */

import { afterAll } from 'bun:test'
import { testConformance } from '../../src/store/conformance/suite.ts'
import { serveFixture } from './store-fixture.ts'

const fixture = await serveFixture()
const store = fixture.connect(await fixture.member('host-a'))

afterAll(() => fixture[Symbol.asyncDispose]())

testConformance({ name: 'served', store: () => store, runs: 40 })
