/** Rulesets go through libnftables as nft would load them, and its words reach the error. */
import { afterAll, test } from 'bun:test'
import assert from 'node:assert/strict'
import { isNetworkError } from '../../src/lib/errors.ts'
import { run, TestNamespaces } from './namespaces.ts'

const namespaces = new TestNamespaces()
afterAll(() => namespaces[Symbol.dispose]())

const TABLE = `table inet ckt {
  set peers { type ipv4_addr; flags interval; elements = { 192.0.2.0/24 }; }
  chain forward { type filter hook forward priority 0; policy drop; ip saddr @peers accept; }
}`

test('a table in its own language is as nft lists it', () => {
  const { name, view } = namespaces.make('n')
  view.nft.run(TABLE)
  const shown = JSON.parse(run(name, 'nft -j list table inet ckt')) as {
    nftables: Record<string, unknown>[]
  }
  const ours = view.nft.listTable('inet', 'ckt')
  assert.deepEqual(
    ours?.map((each) => Object.keys(each)),
    shown.nftables.slice(1).map((each) => Object.keys(each)),
  )
  assert.match(run(name, 'nft list table inet ckt'), /ip saddr @peers accept/)
})

test('a transaction in JSON happens whole or not at all', () => {
  const { name, view } = namespaces.make('n')
  view.nft.run(TABLE)
  const rule = { family: 'inet', table: 'ckt', chain: 'forward', expr: [{ drop: null }] }
  view.nft.runJson({ nftables: [{ add: { rule } }] })
  assert.match(run(name, 'nft list table inet ckt'), /\tdrop/)
  const before = run(name, 'nft list ruleset')
  assert.throws(() =>
    view.nft.runJson({
      nftables: [
        { flush: { table: { family: 'inet', name: 'ckt' } } },
        { add: { rule: { ...rule, chain: 'nobody' } } },
      ],
    }),
  )
  assert.equal(run(name, 'nft list ruleset'), before)
})

test("the error has the library's own words", () => {
  const { view } = namespaces.make('n')
  for (const { commands, words, errno } of [
    { commands: 'add tabel inet x', words: /syntax error/, errno: undefined },
    { commands: 'add chain inet nobody x', words: /No such file or directory/, errno: 'ENOENT' },
  ]) {
    assert.throws(
      () => view.nft.run(commands),
      (error) =>
        isNetworkError(error, 'kernel') &&
        words.test(error.message) &&
        error.details['errno'] === errno,
    )
  }
})

test('an absent table is undefined, an empty one is empty', () => {
  const { view } = namespaces.make('n')
  assert.equal(view.nft.listTable('inet', 'ckt'), undefined)
  view.nft.run('add table inet ckt')
  assert.deepEqual(
    view.nft.listTable('inet', 'ckt')?.map((each) => Object.keys(each)),
    [['table']],
  )
})

test('ten thousand elements are one transaction', () => {
  const { view } = namespaces.make('n')
  view.nft.run('table inet ckt { set s { type ipv4_addr; }; }')
  const elem = Array.from({ length: 10_000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`)
  view.nft.runJson({
    nftables: [{ add: { element: { family: 'inet', table: 'ckt', name: 's', elem } } }],
  })
  const set = view.nft.listTable('inet', 'ckt')?.find((each) => 'set' in each)?.['set']
  assert.equal((set as { elem: unknown[] }).elem.length, elem.length)
})
