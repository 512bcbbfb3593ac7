import { expect, test } from 'bun:test'
import { type Examination, examinePath, type PathLink, type Question } from './examine.ts'
import { freshBelief, judge } from './judge.ts'

interface Faults {
  readonly mtuBytes?: number
  readonly corrupting?: boolean
  readonly pieces?: boolean
  readonly stalling?: boolean
  /** Loses the nth question. */
  readonly loses?: (n: number) => boolean
}

/** A way with faults, and how many questions it was asked. */
function way(faults: Faults): PathLink & { asked: number } {
  const { mtuBytes = 9000, corrupting = false, pieces = true, loses = () => false } = faults
  const carries = ({ sizeBytes, checksum, inPieces }: Question): boolean => {
    if (corrupting && checksum === 'left') return false
    return inPieces === true ? pieces : sizeBytes <= mtuBytes
  }
  return {
    asked: 0,
    async ask(question) {
      return !loses(this.asked++) && carries(question)
    },
    stream: async () => faults.stalling !== true && !corrupting,
  }
}

const EXPECTED = { expectedBytes: 1500, limitBytes: 1500, bare: false }
const GOOD: Examination = {
  answered: true,
  mtuBytes: 1500,
  checksums: 'right',
  pieces: undefined,
  streams: 'pass',
}

for (const { what, faults, want, bare = false, limitBytes = 1500, most } of [
  { what: 'a good way with one question', faults: {}, want: GOOD, most: 1 },
  {
    what: 'a good way without an outer header',
    faults: {},
    bare: true,
    want: { ...GOOD, checksums: undefined, pieces: 'pass' },
    most: 2,
  },
  {
    what: 'a lossy way as good',
    faults: { loses: (n: number) => n % 3 !== 2 },
    want: GOOD,
    most: 3,
  },
  {
    what: 'a smaller way to the byte',
    faults: { mtuBytes: 1399 },
    want: { ...GOOD, mtuBytes: 1399, streams: undefined },
    most: 50,
  },
  {
    what: 'a smaller way to whose size containers are held',
    faults: { mtuBytes: 1399 },
    limitBytes: 1399,
    want: { ...GOOD, mtuBytes: 1399 },
    most: 50,
  },
  {
    what: 'wrong checksums',
    faults: { corrupting: true },
    want: { ...GOOD, checksums: 'wrong', streams: undefined },
    most: 20,
  },
  {
    what: 'wrong checksums on a smaller way',
    faults: { corrupting: true, mtuBytes: 1280 },
    want: { ...GOOD, mtuBytes: 1280, checksums: 'wrong', streams: undefined },
    most: 60,
  },
  {
    what: 'pieces that vanish',
    faults: { pieces: false },
    bare: true,
    want: { ...GOOD, checksums: undefined, pieces: 'vanish' },
    most: 4,
  },
  { what: 'streams that stall', faults: { stalling: true }, want: { ...GOOD, streams: 'stall' } },
  {
    what: 'silence, and gives up soon',
    faults: { loses: () => true },
    want: { answered: false },
    most: 10,
  },
] as const) {
  test(`examinePath() sees ${what}`, async () => {
    const link = way(faults)
    expect(await examinePath(link, { ...EXPECTED, bare, limitBytes })).toMatchObject(want)
    expect(link.asked).toBeLessThanOrEqual(most ?? 100)
  })
}

const smaller: Examination = { ...GOOD, mtuBytes: 1400, streams: undefined }
const silent: Examination = { ...GOOD, answered: false }

function judged(...found: readonly Examination[]) {
  let last = { belief: freshBelief(1500), again: false }
  for (const each of found) last = judge(last.belief, each, 1500)
  return { ...last.belief.finding, again: last.again }
}

for (const { what, found, want } of [
  { what: 'nothing bad', found: [GOOD], want: { mtuBytes: 1500, problems: [], again: false } },
  { what: 'a smaller way once', found: [smaller], want: { mtuBytes: 1500, again: true } },
  {
    what: 'a smaller way twice, and wants to see it used',
    found: [smaller, smaller],
    want: { mtuBytes: 1400, problems: ['smaller-path'], again: true },
  },
  {
    what: 'a smaller way, and then again',
    found: [smaller, GOOD, smaller],
    want: { mtuBytes: 1500, problems: [], again: true },
  },
  {
    what: 'two sizes one after the other',
    found: [smaller, { ...smaller, mtuBytes: 1300 }],
    want: { mtuBytes: 1500, again: true },
  },
  {
    what: 'a way that was smaller and is healed',
    found: [smaller, smaller, GOOD, GOOD],
    want: { mtuBytes: 1500, problems: [], again: false },
  },
  {
    what: 'silence after a smaller way',
    found: [smaller, smaller, silent],
    want: { mtuBytes: 1400, problems: ['no-answer', 'smaller-path'], again: false },
  },
  {
    what: 'an answer after silence',
    found: [silent, GOOD],
    want: { mtuBytes: 1500, problems: [], again: false },
  },
  {
    what: 'wrong checksums twice',
    found: [1, 2].map(() => ({ ...GOOD, checksums: 'wrong' as const, streams: undefined })),
    want: { problems: ['checksums-corrupted'] },
  },
] as const) {
  test(`judge() after ${what}`, () => expect(judged(...found)).toMatchObject(want))
}
