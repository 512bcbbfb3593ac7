/** What a suite hands out: one row per path, metric and subject, and the bounds they are held to. */

export interface Row {
  readonly suite: string
  readonly path: string
  readonly metric: string
  readonly unit: string
  readonly subject: string
  readonly median: number
  /** Number of interleaved runs the median is of. */
  readonly runs: number
  /** The subject of the same path and metric this one is compared with. */
  readonly against: string | null
  /** Median of the pairwise subject/against within a run. */
  readonly ratio: number | null
}

/** A promise about one row; `what` says which of its numbers is meant. Of several, the first holds whose number is there. */
export interface Bound {
  readonly path: string
  readonly metric: string
  readonly subject: string
  readonly what: 'ratio' | 'median'
  readonly is: 'at least' | 'at most'
  readonly value: number
  /** Where the value is from. */
  readonly why?: string
}

/** Middle of the values, mean of the two middle ones when there is an even number; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const half = Math.floor(sorted.length / 2)
  const high = sorted[half] ?? Number.NaN
  return sorted.length % 2 === 1 ? high : ((sorted[half - 1] ?? Number.NaN) + high) / 2
}

/** The value below which `share` (0 to 1) of the values lie, by nearest rank; NaN of none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  const rank = Math.max(1, Math.ceil(share * sorted.length))
  return sorted[rank - 1] ?? Number.NaN
}

/** Row of something that was measured once or has no counterpart. */
export function plainRow(row: Omit<Row, 'against' | 'ratio' | 'runs'> & { runs?: number }): Row {
  return { ...row, median: rounded(row.median), runs: row.runs ?? 1, against: null, ratio: null }
}

/** Six digits are more than any run is exact. */
export function rounded(value: number): number {
  return Number(value.toPrecision(6))
}

/** True or false for a row that a bound speaks of, undefined for others. */
export function meets(row: Row, bounds: readonly Bound[]): boolean | undefined {
  const bound = boundOf(row, bounds)
  const value = bound === undefined ? null : row[bound.what]
  if (bound === undefined || value === null) return undefined
  return bound.is === 'at least' ? value >= bound.value : value <= bound.value
}

/** The rows for people, with what was asked of them. */
export function formatTable(rows: readonly Row[], bounds: readonly Bound[]): string {
  const lines = [
    ['path', 'metric', 'subject', 'median', 'unit', 'runs', 'against', 'ratio', 'bound', ''],
  ]
  for (const row of rows) {
    const bound = boundOf(row, bounds)
    const met = meets(row, bounds)
    lines.push([
      row.path,
      row.metric,
      row.subject,
      formatNumber(row.median),
      row.unit,
      String(row.runs),
      row.against ?? '-',
      row.ratio === null ? '-' : row.ratio.toFixed(3),
      bound === undefined ? '-' : said(bound),
      met === undefined ? '' : met ? 'ok' : 'FAIL',
    ])
  }
  const widths = lines.reduce<number[]>(
    (widest, line) => line.map((cell, column) => Math.max(cell.length, widest[column] ?? 0)),
    [],
  )
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function boundOf(row: Row, bounds: readonly Bound[]): Bound | undefined {
  return bounds.find(
    ({ path, metric, subject, what }) =>
      path === row.path && metric === row.metric && subject === row.subject && row[what] !== null,
  )
}

function said({ what, is, value, why }: Bound): string {
  const number = Number(value.toPrecision(3))
  return `${what} ${is} ${number}${why === undefined ? '' : ` (${why})`}`
}

function formatNumber(value: number): string {
  return value >= 1000 ? value.toFixed(0) : value.toPrecision(3)
}
