import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { publication, publicationKey } from '../store/replica/fixtures.ts'
import { RecordReader } from '../store/replica/records.ts'
import { adoptPublications } from './adopt.ts'

const [kept, lost, gone, newer, dead, changed] = [1, 2, 3, 4, 5, 6].map((n) =>
  publication('n1', 'h1', n),
)
assert.ok(kept && lost && gone && newer && dead && changed)
const text = JSON.stringify

for (const { name, local, store, added = [], want } of [
  { name: 'both have', local: [kept], store: [kept], want: [] },
  { name: 'the disk has lost', local: [], store: [lost], want: ['put pub-h1-2 8002'] },
  { name: 'the store no longer has', local: [gone], store: [], want: ['delete pub-h1-3'] },
  { name: 'was made since', local: [newer], store: [], added: [newer], want: [] },
  { name: 'was taken back since', local: [], store: [newer], added: [newer], want: [] },
  {
    name: 'was changed since the disk was copied',
    local: [changed],
    store: [{ ...changed, hostPort: 9 }],
    want: ['put pub-h1-6 9'],
  },
  { name: 'led to an endpoint that died', local: [dead], store: [dead], want: ['delete pub-h1-5'] },
  { name: 'the disk has lost with its endpoint', local: [], store: [dead], want: [] },
  {
    name: 'was made since for an endpoint that died',
    local: [dead],
    store: [],
    added: [dead],
    want: ['delete pub-h1-5'],
  },
]) {
  test(`adoptPublications() of a port that ${name}`, () => {
    const changes = adoptPublications({
      journal: local.map((one) => ({ key: publicationKey(one), value: text(one), sequence: 1 })),
      store: new Map(store.map((one) => [publicationKey(one), text(one)])),
      newer: new Set(added.map(publicationKey)),
      living: new Set([1, 2, 3, 4, 6].map((n) => `ep-h1-${n}`)),
      reader: new RecordReader(),
    })
    const told = changes.map((change) => {
      const id = change.key.split('/').at(-1)
      return change.kind === 'put'
        ? `put ${id} ${JSON.parse(change.value).hostPort}`
        : `delete ${id}`
    })
    assert.deepEqual(told, want)
  })
}
