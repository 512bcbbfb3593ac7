import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { type ErrorCode, isNetworkError } from '../lib/errors.ts'
import { isId } from '../lib/ids.ts'
import { keys } from '../model/keys.ts'
import type { Journal } from '../store/journal/journal.ts'
import { openJournal } from '../store/journal/sqlite-journal.ts'
import { host, remove, write } from '../store/replica/fixtures.ts'
import type { Store } from '../store/store.ts'
import { describeHost, openIdentity, ownHost, registerHost } from './identity.ts'
import { Scene } from './scene.ts'

let scene: Scene
let store: Store
let journals: Journal[] = []

beforeEach(() => {
  scene = new Scene()
  store = scene.cluster.client()
  journals = []
})
afterEach(() => {
  for (const journal of journals) journal[Symbol.dispose]()
  scene[Symbol.dispose]()
})

function open(name: string): Journal {
  const journal = openJournal({ path: scene.path(name) })
  journals.push(journal)
  return journal
}

function identityOf(journal: Journal, machineId = 'm1', joinedId?: string): string {
  const { clock, random } = scene
  const joined = joinedId === undefined ? {} : { joinedId }
  return openIdentity({ journal, machineId, clock, random, ...joined })
}

function register(journal: Journal, name: string, from: Store = store) {
  const { underlay, vxlanPort, carriers, version } = host('x')
  const { clock, random, log } = scene
  const description = { name, underlay, vxlanPort, carriers, version }
  const hostId = identityOf(journal)
  return registerHost({ store: from, journal, hostId, description, clock, random, log })
}

async function stored(key: string): Promise<string | undefined> {
  return (await store.range({ key })).items[0]?.value
}

const refused =
  (code: ErrorCode, text: RegExp) =>
  (error: unknown): boolean =>
    isNetworkError(error, code) && text.test(error.message)

test('the id is made once, or given by the join, and stays', () => {
  const [own, joined] = [open('a'), open('b')]
  const id = identityOf(own)
  assert.ok(isId(id))
  assert.equal(identityOf(own), id)
  assert.equal(identityOf(joined, 'm1', '01joinedaaaaaaaaaaaaaaaaaa'), '01joinedaaaaaaaaaaaaaaaaaa')
  assert.equal(identityOf(joined), '01joinedaaaaaaaaaaaaaaaaaa')
})

test('a state directory of another machine or another certificate is refused', () => {
  const journal = open('a')
  const id = identityOf(journal)
  assert.throws(() => identityOf(journal, 'm2'), refused('conflict', /another machine/))
  assert.throws(
    () => identityOf(journal, 'm1', '01other'),
    refused('conflict', /of host .*01other/),
  )
  assert.equal(identityOf(journal, 'm1', id), id)
})

test('hosts that join at once get different numbers, and one cluster record', async () => {
  const all = await Promise.all(
    Array.from({ length: 10 }, (_, n) =>
      register(open(`h${n}`), `host-${n}`, scene.cluster.client()),
    ),
  )
  assert.deepEqual(
    all.map(({ index }) => index).sort((a, b) => a - b),
    Array.from({ length: 10 }, (_, n) => n + 1),
  )
  assert.equal(await stored(keys.counter('host-index')), '10')
  const cluster = JSON.parse((await stored(keys.cluster)) ?? '')
  assert.ok(isId(cluster.id))
  assert.equal(cluster.schema, 1)
})

test('registering again changes nothing; a lost answer registers once', async () => {
  const journal = open('a')
  scene.cluster.loseAnswers(store, 2)
  await assert.rejects(register(journal, 'web'), refused('unavailable', /store/))
  scene.cluster.loseAnswers(store, 0)
  const first = await register(journal, 'web')
  const [revision, sequence] = [scene.cluster.revision, journal.sequence]
  assert.deepEqual(await register(journal, 'web'), first)
  assert.equal(scene.cluster.revision, revision)
  assert.equal(journal.sequence, sequence)
  assert.deepEqual(ownHost(journal, first.id), first)
})

test('a name of another host is refused', async () => {
  const { id } = await register(open('a'), 'web')
  await assert.rejects(register(open('b'), 'web'), refused('already-exists', new RegExp(id)))
})

test('a renamed host keeps id, number and epoch; its old name is free', async () => {
  const journal = open('a')
  const before = await register(journal, 'web')
  const after = await register(journal, 'shop')
  assert.deepEqual(after, { ...before, name: 'shop' })
  assert.equal(await stored(keys.hostName('shop')), before.id)
  assert.equal(await stored(keys.hostName('web')), undefined)
  assert.equal(JSON.parse((await stored(keys.host(before.id))) ?? '').name, 'shop')
  const other = await register(open('b'), 'web')
  assert.equal(other.index, 2)
})

test('what changes without the store is journalled, except the name', async () => {
  const journal = open('a')
  const { underlay, vxlanPort, carriers } = host('x')
  const description = { name: 'new', underlay, vxlanPort, carriers, version: '0.2.0' }
  const hostId = identityOf(journal)
  assert.equal(describeHost(journal, hostId, description), undefined)
  await register(journal, 'web')
  const described = describeHost(journal, hostId, description)
  assert.deepEqual([described?.name, described?.version], ['web', '0.2.0'])
  const { sequence } = journal
  describeHost(journal, hostId, description)
  assert.equal(journal.sequence, sequence)
})

test('a host that the cluster removed is not put back', async () => {
  const journal = open('a')
  const { id } = await register(journal, 'web')
  await write(store, remove(keys.host(id)))
  await register(journal, 'web')
  assert.equal(await stored(keys.host(id)), undefined)
  assert.ok(scene.lines.includes('this host was removed from the cluster'))
})

test('a lost journal takes number and epoch from the store', async () => {
  const journal = open('a')
  const before = await register(journal, 'web')
  const again = open('b')
  identityOf(again, 'm1', before.id)
  assert.deepEqual(await register(again, 'web'), before)
})
