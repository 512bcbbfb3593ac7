import { expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Endpoint } from '../model/endpoint.ts'
import { endpointKey } from '../model/keys.ts'
import type { JournalChange } from '../store/journal/journal.ts'
import { openJournal } from '../store/journal/sqlite-journal.ts'
import { endpoint } from '../store/replica/fixtures.ts'
import { OwnEndpoints } from './own-endpoints.ts'

test('a follower is told of what stands, then of each change once, and of this host’s alone', () => {
  const directory = mkdtempSync(join(tmpdir(), 'ckt-own-'))
  try {
    using journal = openJournal({ path: join(directory, 'journal.db') })
    const [first, second] = [endpoint('n1', 'here', 1), endpoint('n1', 'here', 2)]
    journal.commit([record(first)])
    using own = new OwnEndpoints(journal, 'here')
    const told: string[] = []
    const stop = own.follow(({ before, after }) => told.push(`${before?.mac} ${after?.mac}`))
    journal.commit([record(second), record(endpoint('n1', 'there', 3))])
    const changed = { ...second, mac: first.mac }
    journal.commit([record(changed)])
    journal.commit([gone(first), gone(endpoint('n1', 'here', 4))])
    stop()
    journal.commit([gone(second)])
    expect(told).toEqual([
      `undefined ${first.mac}`,
      `undefined ${second.mac}`,
      `${second.mac} ${first.mac}`,
      `${first.mac} undefined`,
    ])
    expect([own.count, own.get(second.id)]).toEqual([0, undefined])
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})

function record(value: Endpoint): JournalChange {
  return { kind: 'put', key: endpointKey(value), value: JSON.stringify(value) }
}

function gone(value: Endpoint): JournalChange {
  return { kind: 'delete', key: endpointKey(value) }
}
