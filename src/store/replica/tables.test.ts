import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { parseKey, publicationKey } from '../../model/keys.ts'
import { publication } from './fixtures.ts'
import { Tables } from './tables.ts'

for (const first of ['put', 'remove']) {
  test(`a published port that moved to another network stands there, ${first} told first`, () => {
    const before = publication('n1', 'h2', 1)
    const after = { ...before, networkId: 'n2' }
    const tables = new Tables()
    const place = parseKey(publicationKey(before))
    assert.ok(place)
    tables.putPublication(before)
    if (first === 'put') tables.putPublication(after)
    tables.remove(publicationKey(before), place)
    if (first === 'remove') tables.putPublication(after)
    assert.deepEqual(tables.publications.get(before.id), after)
    assert.deepEqual([...tables.publications.byNetwork.of('n1')], [])
    assert.deepEqual([...tables.publications.byNetwork.of('n2')], [after])
    assert.deepEqual([...tables.publicationsByEndpoint.of(after.endpointId)], [after])
  })
}
