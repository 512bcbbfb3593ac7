import { expect, test } from 'bun:test'
import { silentLog } from '../../lib/log.ts'
import type { PathReport } from '../../model/path.ts'
import { PathMemory } from './memory.ts'

const found: PathReport = {
  hostId: 'h2',
  carrier: 'vxlan',
  expectedBytes: 1500,
  mtuBytes: 1400,
  problems: ['smaller-path'],
  probedAt: '2026-01-01T00:00:00.000Z',
}

test('the next run finds what this one has kept, for the same way only', () => {
  const journal = journalOf()
  new PathMemory(journal, silentLog).keep([found])
  const next = new PathMemory(journal, silentLog)
  expect(next.of(found)).toEqual(found)
  expect(next.of({ ...found, carrier: 'direct' })).toBeUndefined()
  expect(next.of({ ...found, expectedBytes: 9000 })).toBeUndefined()
  expect(next.of({ ...found, hostId: 'h3' })).toBeUndefined()
})

test('what another version has kept is taken as far as it is known', () => {
  const journal = journalOf()
  const rows = [
    { ...found, problems: ['smaller-path', 'too-green'] },
    { ...found, carrier: 'pigeon' },
  ]
  journal.settings.set('paths.found', JSON.stringify(rows))
  expect(new PathMemory(journal, silentLog).of(found)).toEqual(found)
})

test('a disk that is full costs no finding of this run', () => {
  const journal = journalOf()
  journal.settings.set = () => {
    throw new Error('database or disk is full')
  }
  const memory = new PathMemory(journal, silentLog)
  memory.keep([found])
  expect(memory.of(found)).toEqual(found)
})

function journalOf() {
  const kept = new Map<string, string>()
  return {
    settings: {
      get: (name: string) => kept.get(name),
      set: (name: string, value: string): void => {
        kept.set(name, value)
      },
    },
  }
}
