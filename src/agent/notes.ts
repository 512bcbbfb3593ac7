/**
 * The two records a host keeps posted about itself, facts and status: the newest counts, so they are not
 * journalled, only written when they changed, and not more often than every two seconds; only for what
 * somebody waits for, it is sooner.
 */

import type { HostFacts, HostStatus } from '../model/host.ts'
import { keys } from '../model/keys.ts'
import type { Operation } from '../store/store.ts'

const PAUSE_MS = 2_000
/**
 * A status in which only the applied revision moved waits this long: every status is a revision that all
 * other hosts apply, and would otherwise keep them writing for ever.
 */
const REVISION_PAUSE_MS = 60_000
/** One that reached a milestone waits no longer than this. */
const MILESTONE_PAUSE_MS = 100

interface Note {
  readonly key: string
  text?: string
  /** The text without what moves by itself. */
  gist?: string
  writtenText?: string
  writtenGist?: string
  writtenAtMs: number
  /** Somebody waits for it. */
  urgent: boolean
}

export class Notes {
  readonly #facts: Note
  readonly #status: Note
  #milestone = 0

  constructor(hostId: string) {
    const longAgo = Number.NEGATIVE_INFINITY
    this.#facts = { key: keys.facts(hostId), writtenAtMs: longAgo, urgent: false }
    this.#status = { key: keys.status(hostId), writtenAtMs: longAgo, urgent: false }
  }

  setFacts(facts: HostFacts): void {
    this.#facts.text = this.#facts.gist = JSON.stringify(facts)
  }

  /** `milestone`: an applied revision that others wait for; a greater one than before is told at once. */
  setStatus(status: HostStatus, milestone = 0): void {
    this.#status.text = JSON.stringify(status)
    this.#status.gist = statusGist(status)
    if (milestone <= this.#milestone) return
    this.#milestone = milestone
    this.#status.urgent = true
  }

  get keys(): readonly string[] {
    return [this.#facts.key, this.#status.key]
  }

  /** What the store has now, as a comparison has found. */
  found(texts: ReadonlyMap<string, string>): void {
    for (const note of [this.#facts, this.#status]) {
      const text = texts.get(note.key)
      if (text === note.writtenText) continue
      delete note.writtenText
      delete note.writtenGist
    }
  }

  /** Writes that are due, and how long until the next may be; undefined when none is waiting. */
  due(nowMs: number): { readonly puts: readonly Operation[]; readonly waitMs: number | undefined } {
    const puts: Operation[] = []
    let waitMs: number | undefined
    for (const note of [this.#facts, this.#status]) {
      const { key, text } = note
      if (text === undefined || text === note.writtenText) continue
      const usualMs = note.gist === note.writtenGist ? REVISION_PAUSE_MS : PAUSE_MS
      const pauseMs = note.urgent ? MILESTONE_PAUSE_MS : usualMs
      const restMs = note.writtenAtMs + pauseMs - nowMs
      if (restMs <= 0) puts.push({ kind: 'put', key, value: text })
      else waitMs = Math.min(waitMs ?? restMs, restMs)
    }
    return { puts, waitMs }
  }

  written(puts: readonly Operation[], nowMs: number): void {
    for (const put of puts) {
      const note = [this.#facts, this.#status].find(
        ({ key }) => put.kind === 'put' && key === put.key,
      )
      if (note === undefined || put.kind !== 'put') continue
      note.writtenText = put.value
      note.writtenAtMs = nowMs
      if (note.text !== put.value) continue
      note.urgent = false
      if (note.gist !== undefined) note.writtenGist = note.gist
    }
  }
}

function statusGist({ appliedRevision: _revision, updatedAt: _at, ...rest }: HostStatus): string {
  return JSON.stringify(rest)
}
