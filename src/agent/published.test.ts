import { test } from 'bun:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { keys } from '../model/keys.ts'
import { endpoint } from '../store/replica/fixtures.ts'
import { batchesOf, differences, type OwnRecord, publishedText } from './published.ts'

const record = (n: number, sequence: number, value: string | undefined): OwnRecord => ({
  key: keys.endpoint('n1', 'h1', `e${n}`),
  networkId: 'n1',
  value,
  sequence,
})

test('publishedText() leaves at home what is of no use elsewhere', () => {
  const published = JSON.parse(publishedText(endpoint('n1', 'h1', 1)))
  assert.deepEqual(Object.keys(published).sort(), [
    'addresses',
    'createdAt',
    'hostId',
    'id',
    'ifname',
    'labels',
    'mac',
    'name',
    'networkId',
    'order',
    'schema',
  ])
})

const texts = fc.option(fc.constantFrom('x', 'y', 'z'), { nil: undefined })
const parts = fc.array(fc.tuple(fc.nat(300), fc.nat(50), texts), { maxLength: 400 })

test('carrying out the differences makes the store equal to the journal', () => {
  fc.assert(
    fc.property(
      parts,
      fc.array(fc.tuple(fc.nat(300), fc.constantFrom<string>('x', 'y'))),
      (want, have) => {
        const wanted = new Map(want.map(([n, sequence, value]) => [n, record(n, sequence, value)]))
        const store = new Map(have.map(([n, value]) => [record(n, 0, value).key, value]))
        for (const { records } of batchesOf(differences([...wanted.values()], store), 50)) {
          for (const { key, value } of records) {
            if (value === undefined) store.delete(key)
            else store.set(key, value)
          }
        }
        const live = [...wanted.values()].filter(({ value }) => value !== undefined)
        assert.deepEqual([...store].sort(), live.map(({ key, value }) => [key, value]).sort())
      },
    ),
  )
})

test('a batch says it reached a sequence only when everything up to it is written', () => {
  fc.assert(
    fc.property(parts, (rows) => {
      const records = rows
        .map(([n, sequence, value]) => record(n, sequence, value))
        .sort((a, b) => a.sequence - b.sequence)
      let rest = records
      let before = 0
      for (const batch of batchesOf(records, 50)) {
        assert.ok(batch.records.length <= 97)
        assert.ok(batch.sequence >= before)
        before = batch.sequence
        rest = rest.slice(batch.records.length)
        for (const { sequence } of rest) assert.ok(sequence > batch.sequence)
      }
      assert.equal(before, 50)
      assert.deepEqual(rest, [])
    }),
  )
})
