import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { silentLog } from '../../lib/log.ts'
import { VERSION } from '../../lib/version.ts'
import { createRestApi } from './api.ts'
import { createFakeControl } from './fake-control.ts'
import { openApiDocument } from './openapi.ts'

const checkedIn = new URL('../../../docs/openapi.json', import.meta.url)

test('docs/openapi.json is what the schemas say (else: bun src/api/rest/write-openapi.ts)', () => {
  const document = JSON.parse(JSON.stringify(openApiDocument(VERSION)))
  assert.deepEqual(JSON.parse(readFileSync(checkedIn, 'utf8')), document)
})

test('/v1/openapi.json serves the same document', async () => {
  const api = createRestApi({ control: createFakeControl(), log: silentLog, version: VERSION })
  const response = await api.fetch(new Request('http://carrick/v1/openapi.json'))
  assert.deepEqual(await response.json(), JSON.parse(readFileSync(checkedIn, 'utf8')))
})

test('every reference of the document leads to a component', () => {
  const document = openApiDocument(VERSION)
  const { schemas } = document['components'] as { schemas: Record<string, unknown> }
  for (const [, name = ''] of JSON.stringify(document).matchAll(
    /"#\/components\/schemas\/(\w+)"/g,
  )) {
    assert.ok(name in schemas, name)
  }
})

test('VERSION is the one of package.json', () => {
  const { version } = JSON.parse(
    readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'),
  )
  assert.equal(VERSION, version)
})
