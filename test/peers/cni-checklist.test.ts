/** The conformance checklist for CNI programs: one test for each of its rows, in its order. */

import assert from 'node:assert/strict'
import { answers } from './cni/rows/answers.ts'
import { lifecycle } from './cni/rows/lifecycle.ts'
import { runtimes } from './cni/rows/runtimes.ts'
import { traffic } from './cni/rows/traffic.ts'
import { sharedStage } from './cni/stage.ts'

const ROWS = 41

const withStage = sharedStage()
const rows = [...answers, ...traffic, ...lifecycle, ...runtimes].sort((a, b) => a.number - b.number)
assert.deepEqual(
  rows.map(({ number }) => number),
  Array.from({ length: ROWS }, (_, i) => i + 1),
)

for (const { number, title, run } of rows) withStage(`row ${number}: ${title}`, run)
