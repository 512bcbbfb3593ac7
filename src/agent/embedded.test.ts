/** The same state machinery on the real embedded store: two hosts publish and see each other. */

import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { keys } from '../model/keys.ts'
import { endpoint, network, put, write } from '../store/replica/fixtures.ts'
import { openEmbeddedStore } from '../store/sqlite/embedded.ts'
import { Agent, Scene } from './scene.ts'

/** Lets real time pass until it holds: the engine answers when its commit is on the disk. */
async function eventually(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`not within 10 s: ${holds}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

test('two hosts on an embedded store publish, see each other, and come back after a restart', async () => {
  using scene = new Scene()
  const path = join(scene.directory, 'store', 'store.db')
  await using store = openEmbeddedStore({ path })
  await write(store, put(keys.network('n1'), network('n1')))
  const a = await Agent.start(scene, { state: 'a', store })
  let b = await Agent.start(scene, { state: 'b', store })
  try {
    await Promise.all([a.publisher.ready, b.publisher.ready])
    for (let n = 0; n < 300; n++) a.attach(endpoint('n1', a.hostId, n))
    await eventually(() => [...b.replica.endpointsOfHost(a.hostId)].length === 300)
    await eventually(() => a.publisher.publishedSequence === a.journal.sequence)
    await b.stop()
    for (let n = 0; n < 200; n++) a.detach(endpoint('n1', a.hostId, n))
    b = await Agent.start(scene, { state: 'b', store })
    assert.ok(b.replica.complete)
    await eventually(() => [...b.replica.endpointsOf('n1')].length === 100)
    assert.deepEqual([...b.replica.hosts()].map(({ index }) => index).sort(), [1, 2])
    await eventually(() => b.replica.alive(a.hostId) !== undefined)
    assert.equal(a.publisher.distrust() ?? b.publisher.distrust(), undefined)
  } finally {
    await a.stop()
    await b.stop()
  }
})
