/**
 * From what examinations say to what is believed. A change is believed when two examinations in a row say
 * the same, so that loss, which never says the same twice, changes nothing. Silence changes nothing either:
 * a daemon that is away says nothing about the way to its host.
 */

import { PATH_PROBLEMS, type PathProblem, type PathReport } from '../../model/path.ts'
import type { Examination } from './examine.ts'

/** What is believed of one way. */
export type Finding = Pick<PathReport, 'mtuBytes' | 'problems'>

export interface Belief {
  readonly finding: Finding
  /** What the last examination said instead, once. */
  readonly doubt: Finding | undefined
}

export interface Judgement {
  readonly belief: Belief
  /** Worth another examination soon: this one said something new, or its remedy is yet to be seen working. */
  readonly again: boolean
}

/** What is believed of a way that nobody has looked at. */
export function freshBelief(expectedBytes: number): Belief {
  return { finding: { mtuBytes: expectedBytes, problems: [] }, doubt: undefined }
}

/** What follows from an examination of a way of which this much was expected. */
export function judge(before: Belief, found: Examination, expectedBytes: number): Judgement {
  const { finding, doubt } = before
  const known = without(finding.problems, 'no-answer')
  if (!found.answered) {
    const silent = { ...finding, problems: inOrder([...known, 'no-answer']) }
    return { belief: { finding: silent, doubt: undefined }, again: false }
  }
  const believed = { ...finding, problems: known }
  const now = verdictOf(found, expectedBytes, known)
  if (same(now, believed)) return { belief: { finding: now, doubt: undefined }, again: false }
  if (doubt === undefined || !same(now, doubt)) {
    return { belief: { finding: believed, doubt: now }, again: true }
  }
  return { belief: { finding: now, doubt: undefined }, again: found.streams !== 'pass' }
}

function verdictOf(
  { mtuBytes, checksums, pieces, streams }: Examination,
  expectedBytes: number,
  known: readonly PathProblem[],
): Finding {
  const found: PathProblem[] = []
  if (mtuBytes < expectedBytes) found.push('smaller-path')
  if (checksums === 'wrong') found.push('checksums-corrupted')
  if (streams === 'stall') found.push('streams-stall')
  const untried = pieces === undefined && known.includes('fragments-dropped')
  if (pieces === 'vanish' || untried) found.push('fragments-dropped')
  return { mtuBytes, problems: inOrder(found) }
}

function without(problems: readonly PathProblem[], problem: PathProblem): readonly PathProblem[] {
  return problems.filter((each) => each !== problem)
}

function inOrder(problems: readonly PathProblem[]): readonly PathProblem[] {
  return PATH_PROBLEMS.filter((each) => problems.includes(each))
}

function same(a: Finding, b: Finding): boolean {
  return a.mtuBytes === b.mtuBytes && a.problems.join() === b.problems.join()
}
