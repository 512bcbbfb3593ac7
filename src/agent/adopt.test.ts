import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { silentLog } from '../lib/log.ts'
import { NO_SANDBOX } from '../model/endpoint.ts'
import { keys, publicationKey } from '../model/keys.ts'
import { endpoint, publication, published } from '../store/replica/fixtures.ts'
import { RecordReader } from '../store/replica/records.ts'
import { adoptEndpoints, adoptEngineNetworks, adoptPublications } from './adopt.ts'

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

test('what an engine attached is adopted where it is found; what is held, by the store’s word', () => {
  const found = new Map(
    [1, 2].map((n) => {
      const sandbox = { path: `/proc/${n}/ns/net`, inode: n }
      return [published('n1', 'h1', n).mac, { sandbox, ifname: 'eth7' }] as const
    }),
  )
  const engine = { attachment: 'engine', ifname: 'cke1' } as const
  const held = { attachment: 'held', ifname: '' } as const
  const adopted = adoptEndpoints(
    {
      unknown: [
        { ...published('n1', 'h1', 1), ...engine },
        { ...published('n1', 'h1', 3), ...engine },
        { ...published('n1', 'h1', 4), ...held },
      ],
      missing: [
        { ...endpoint('n1', 'h1', 2), ...engine },
        { ...endpoint('n1', 'h1', 5), ...held },
      ],
    },
    {
      find: () => found,
      takenNumbers: new Set([1, 2]),
      deviceNameOf: (id) => `ck-${id}`,
      log: silentLog,
    },
  )
  assert.deepEqual(
    adopted.map(({ id, ifname, device, number, sandbox }) => [id, ifname, device, number, sandbox]),
    [
      ['ep-h1-1', 'cke1', 'ck-ep-h1-1', 3, NO_SANDBOX],
      ['ep-h1-4', '', '', 0, NO_SANDBOX],
      ['ep-h1-2', 'cke1', 'ck2', 2, NO_SANDBOX],
    ],
  )
})

test('networks on engines are as the store has them, but for what was noted since', () => {
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((id) => keys.engineNetwork('n1', 'h1', id))
  assert.ok(a && b && c && d)
  const changes = adoptEngineNetworks({
    journal: [a, b, c].map((key) => ({ key, value: 'old', sequence: 1 })),
    store: new Map([
      [a, 'new'],
      [d, 'lost'],
      [keys.publication('n1', 'h1', 'x'), 'other'],
    ]),
    newer: new Set([c]),
  })
  assert.deepEqual(changes, [
    { kind: 'put', key: a, value: 'new' },
    { kind: 'put', key: d, value: 'lost' },
    { kind: 'delete', key: b },
  ])
})
