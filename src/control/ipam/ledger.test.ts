import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { ip, prefix } from '../../net/testing.ts'
import type { Journal } from '../../store/journal/journal.ts'
import { Ledger } from './ledger.ts'

/** As much of a journal as a ledger needs. */
function notebook(copied: number): Pick<Journal, 'settings' | 'cache'> {
  const values = new Map<string, string>()
  return {
    settings: {
      get: (name) => values.get(name),
      set: (name, value) => void values.set(name, value),
    },
    cache: { revision: copied, load: () => [], replace() {}, apply() {} },
  }
}

const block = prefix('10.9.0.248/29')

test('what is being given back is remembered by the next start', () => {
  const journal = notebook(0)
  new Ledger(journal).startReturn('n', block)
  const ledger = new Ledger(journal)
  assert.deepEqual(ledger.undecided(), [{ networkId: 'n', what: block }])
  assert.equal(ledger.isReturned('n', block, 1_000_000), true)
  ledger.finishReturn('n', block, 7)
  assert.deepEqual(ledger.undecided(), [])
  assert.equal(ledger.isReturned('n', block, 6), true) // an old copy still shows it as ours
  assert.equal(ledger.isReturned('n', block, 7), false)
  ledger.reopenAfter(6)
  assert.deepEqual(new Ledger(journal).undecided(), [{ networkId: 'n', what: block }])
  ledger.forgetReturn('n', block)
  assert.equal(ledger.isReturned('n', block, 0), false)
})

test('entries that the copy on disk has passed are forgotten', () => {
  const journal = notebook(10)
  const ledger = new Ledger(journal)
  ledger.finishReturn('n', block, 9)
  ledger.finishReturn('n', ip('10.9.0.7'), 11)
  assert.equal(ledger.isReturned('n', block, 0), false)
  assert.equal(ledger.isReturned('n', ip('10.9.0.7'), 0), true)
})

test('grants are remembered with their host', () => {
  const journal = notebook(0)
  new Ledger(journal).grant('n', ip('10.9.0.7'), 'h2')
  const ledger = new Ledger(journal)
  assert.equal(ledger.grantedTo('n', ip('10.9.0.7')), 'h2')
  assert.deepEqual(ledger.grantedIn('n'), [ip('10.9.0.7')])
  assert.deepEqual(ledger.grantedIn('m'), [])
  ledger.endGrant('n', ip('10.9.0.7'))
  assert.deepEqual(new Ledger(journal).allGranted(), [])
})
