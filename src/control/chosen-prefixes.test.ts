import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { Scene } from '../agent/scene.ts'
import { type Prefix, prefixesOverlap } from '../net/prefix.ts'
import { drive, Member } from './member.ts'

let scene: Scene
let members: Member[]

beforeEach(async () => {
  scene = new Scene()
  members = []
  for (const state of ['a', 'b', 'c']) members.push(await Member.start(scene, { state }))
})
afterEach(async () => {
  for (const member of members) await member.stop()
  scene[Symbol.dispose]()
})

const choose = (member: Member, avoid: readonly Prefix[] = []): Promise<Prefix> =>
  member.control.choosePrefix({ family: 4, length: 20, avoid })

function assertApart(prefixes: readonly Prefix[]): void {
  for (const [i, a] of prefixes.entries()) {
    for (const b of prefixes.slice(0, i)) assert.ok(!prefixesOverlap(a, b), `${a} overlaps ${b}`)
  }
}

test('hosts that choose at once choose different prefixes, and a network that is made meanwhile has another', async () => {
  const chosen = await drive(
    scene,
    Promise.all([...members, ...members].map((each) => choose(each))),
  )
  const [a] = members
  assert.ok(a !== undefined)
  const network = await drive(scene, a.control.createNetwork({ name: 'blue' }))
  assertApart([...chosen, ...network.prefixes])
  // Who asks for a chosen one by name means it: the network that it was chosen for.
  const [first = ''] = chosen
  const made = await drive(scene, a.control.createNetwork({ name: 'red', subnets: [first] }))
  assert.deepEqual(made.prefixes, [first])
})

test('a choice of which nothing came is free again after a while', async () => {
  const [a, b] = members
  assert.ok(a !== undefined && b !== undefined)
  const first = await drive(scene, choose(a))
  const second = await drive(scene, choose(b, [first]))
  assert.notEqual(second, first)
  await scene.clock.advance(70_000)
  assert.equal(await drive(scene, choose(b, [second])), first)
})
