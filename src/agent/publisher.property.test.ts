/** Whatever happens on the way, once both can be reached the store says of the host what its journal says. */

import { test } from 'bun:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  endpointKey,
  HOST_RECORD_ROOTS,
  hostRecordsIn,
  keys,
  publicationKey,
} from '../model/keys.ts'
import type { MemorySnapshot } from '../store/memory.ts'
import { endpoint, network, publication, put, write } from '../store/replica/fixtures.ts'
import { RecordReader } from '../store/replica/records.ts'
import { ownRecordOf } from './published.ts'
import { Agent, Scene } from './scene.ts'

type Step =
  | { readonly kind: 'attach' | 'detach'; readonly n: number }
  | {
      readonly kind: 'cut' | 'heal' | 'crash' | 'restart' | 'backup' | 'restore' | 'deafen' | 'hear'
    }
  | { readonly kind: 'lose'; readonly count: number }
  | { readonly kind: 'wait'; readonly ms: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('attach' as const), n: fc.nat(9) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('detach' as const), n: fc.nat(9) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'cut',
        'heal',
        'crash',
        'restart',
        'backup',
        'restore',
        'deafen',
        'hear',
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('lose' as const),
      count: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      ms: fc.constantFrom(0, 90, 3000, 40_000),
    }),
  },
)

test('cuts, lost answers, crashes and a restored store: the store ends up as the journal says', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      using scene = new Scene()
      const other = scene.cluster.client()
      await write(other, put(keys.network('n1'), network('n1')))
      let agent = await Agent.start(scene, { state: 'a' })
      await agent.publisher.ready
      let backup: MemorySnapshot = scene.cluster.snapshot()
      try {
        for (const next of steps) {
          const mine = (n: number) =>
            [endpoint('n1', agent.hostId, n), [publication('n1', agent.hostId, n)]] as const
          if (next.kind === 'attach') agent.attach(...mine(next.n))
          else if (next.kind === 'detach') agent.detach(...mine(next.n))
          else if (next.kind === 'cut') scene.cluster.cut(agent.store)
          else if (next.kind === 'heal') scene.cluster.heal(agent.store)
          else if (next.kind === 'deafen') scene.cluster.deafen(agent.store)
          else if (next.kind === 'hear') scene.cluster.hear(agent.store)
          else if (next.kind === 'backup') backup = scene.cluster.snapshot()
          else if (next.kind === 'restore') scene.cluster.restore(backup)
          else if (next.kind === 'lose') scene.cluster.loseAnswers(agent.store, next.count)
          else if (next.kind === 'wait') await scene.clock.advance(next.ms)
          else {
            await (next.kind === 'crash' ? agent.kill() : agent.stop())
            agent = await Agent.start(scene, { state: 'a' })
          }
        }
        scene.cluster.heal(agent.store)
        scene.cluster.hear(agent.store)
        scene.cluster.loseAnswers(agent.store, 0)
        await scene.clock.advance(7 * 60_000)
        const reader = new RecordReader()
        const want = HOST_RECORD_ROOTS.flatMap((root) => agent.journal.list(root)).map((record) =>
          ownRecordOf(record, agent.hostId, reader),
        )
        const stored = hostRecordsIn('n1', agent.hostId).map((prefix) => other.range({ prefix }))
        const items = (await Promise.all(stored)).flatMap((range) => range.items)
        assert.deepEqual(
          items.map(({ key, value }) => [key, value]),
          want.map((one) => [one?.key, one?.value]),
        )
        assert.equal(agent.publisher.publishedSequence, agent.journal.sequence)
        assert.equal(agent.publisher.distrust(), undefined)
        assert.equal(agent.lease.state, 'held')
        assert.deepEqual(agent.adoptions, [])
        assert.ok(agent.replica.connected)
        const seen = [
          ...Array.from(agent.replica.ownEndpoints(), endpointKey),
          ...Array.from(agent.replica.publications(), publicationKey),
        ]
        assert.deepEqual(seen.sort(), items.map(({ key }) => key).sort())
      } finally {
        await agent.kill()
      }
    }),
    { numRuns: 40 },
  )
}, 60_000)
