import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { nearest } from './nearest.ts'

const known = ['stateDir', 'runDir', 'store', 'storeCa', 'vxlanPort']

for (const { word, want } of [
  { word: 'stateDri', want: 'stateDir' }, // two neighbours swapped
  { word: 'statedir', want: 'stateDir' }, // case only
  { word: 'stor', want: 'store' },
  { word: 'vxlan-port', want: 'vxlanPort' },
  { word: 'colour', want: undefined },
  { word: '', want: undefined },
]) {
  test(`nearest() to "${word}" is ${want ?? 'none'}`, () =>
    assert.equal(nearest(word, known), want))
}
