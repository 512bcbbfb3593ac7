/**
 * Measures several subjects side by side: round 1 of all, round 2 of all backwards, and so on, so that whatever
 * the machine does meanwhile, and what one measurement leaves to the next, meets all alike. A ratio is taken within a round and only then the median, because
 * two numbers of different minutes do not compare.
 */
import { median, type Row, rounded } from './rows.ts'

/** Whose number it is, and what it is compared with. */
export interface Compared {
  /** One number may stand in several paths: the bare wire is the same for every carrier. */
  readonly paths: readonly string[]
  readonly metric: string
  readonly unit: string
  readonly subject: string
  /** Subject of the same path and metric to compare with. */
  readonly against?: string
}

/** One number that can be measured again and again. */
export interface Measurement extends Compared {
  measure(): Promise<number>
}

export interface InterleaveOptions {
  readonly suite: string
  readonly rounds: number
  /** Called before every single measurement, to let the machine come to rest. */
  readonly settle: () => Promise<void>
  readonly progress: (line: string) => void
}

/** A round takes all measurements in the order given, or from the end; put what is compared next to each other. */
export async function interleave(
  measurements: readonly Measurement[],
  { suite, rounds, settle, progress }: InterleaveOptions,
): Promise<readonly Row[]> {
  const taken = new Map<Measurement, number[]>(measurements.map((of) => [of, []]))
  for (let round = 1; round <= rounds; round++) {
    for (const [measurement, values] of round % 2 === 1 ? taken : [...taken].reverse()) {
      await settle()
      const value = await measurement.measure()
      values.push(value)
      const { paths, metric, subject, unit } = measurement
      progress(
        `round ${round}/${rounds} ${paths.join('+')} ${metric} ${subject}: ${value.toPrecision(4)} ${unit}`,
      )
    }
  }
  return rowsOf(suite, taken)
}

/** Rows of values taken in rounds; the nth values of two measurements belong together. */
export function rowsOf(
  suite: string,
  taken: ReadonlyMap<Compared, readonly number[]>,
): readonly Row[] {
  return [...taken].flatMap(([{ paths, metric, unit, subject, against }, values]) =>
    paths.map((path) => {
      const row = { suite, path, metric, unit, subject, median: rounded(median(values)) }
      if (against === undefined) return { ...row, runs: values.length, against: null, ratio: null }
      const base = [...taken].find(
        ([other]) =>
          other.subject === against && other.metric === metric && other.paths.includes(path),
      )?.[1]
      if (base === undefined) throw new Error(`No ${against} for ${path} ${metric}`)
      const ratios = values.map((value, round) => value / (base[round] ?? Number.NaN))
      return { ...row, runs: values.length, against, ratio: rounded(median(ratios)) }
    }),
  )
}
