/**
 * What was found about paths, kept in the journal's settings: a daemon that was killed goes on from there,
 * before it hears from the store. What a crash loses is found again.
 */

import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import {
  PATH_CARRIERS,
  PATH_PROBLEMS,
  type PathCarrier,
  type PathProblem,
  type PathReport,
} from '../../model/path.ts'
import type { Journal } from '../../store/journal/journal.ts'

const FOUND = 'paths.found'

export class PathMemory {
  readonly #settings: Journal['settings']
  readonly #log: Log
  #reports: readonly PathReport[]

  constructor({ settings }: Pick<Journal, 'settings'>, log: Log) {
    this.#settings = settings
    this.#log = log
    this.#reports = readReports(settings.get(FOUND))
  }

  /** The last report about the same way, from which as much was expected. */
  of(way: Pick<PathReport, 'hostId' | 'carrier' | 'expectedBytes'>): PathReport | undefined {
    return this.#reports.find(
      ({ hostId, carrier, expectedBytes }) =>
        hostId === way.hostId && carrier === way.carrier && expectedBytes === way.expectedBytes,
    )
  }

  /** Takes these in the place of all earlier ones. */
  keep(reports: readonly PathReport[]): void {
    this.#reports = reports
    try {
      this.#settings.set(FOUND, JSON.stringify(reports))
    } catch (error) {
      // A full disk costs another look after the next start, not the daemon.
      this.#log.warn('findings about paths not written', { error: messageOf(error) })
    }
  }
}

function readReports(text: string | undefined): readonly PathReport[] {
  const rows: readonly Readonly<Record<string, unknown>>[] =
    text === undefined ? [] : JSON.parse(text)
  return rows.flatMap(({ hostId, carrier, expectedBytes, mtuBytes, problems, probedAt }) =>
    isCarrier(carrier)
      ? [
          {
            hostId: String(hostId),
            carrier,
            expectedBytes: Number(expectedBytes),
            mtuBytes: Number(mtuBytes),
            problems: Array.isArray(problems) ? problems.filter(isProblem) : [],
            probedAt: String(probedAt),
          },
        ]
      : [],
  )
}

function isCarrier(value: unknown): value is PathCarrier {
  return PATH_CARRIERS.some((carrier) => carrier === value)
}

function isProblem(value: unknown): value is PathProblem {
  return PATH_PROBLEMS.some((problem) => problem === value)
}
