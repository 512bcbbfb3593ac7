/**
 * Numbers as people type and read them: durations (`30s`, `1h30m`) and sizes (`64Ki`, `1500`). k, M, G
 * are powers of 1000; Ki, Mi, Gi of 1024. A bare duration is taken in the unit that the caller names, so
 * that settings called `...Ms` or `...Seconds` accept their own number as well.
 */

const MILLISECONDS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
export type DurationUnit = keyof typeof MILLISECONDS

const FACTORS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 1024,
  Mi: 1024 ** 2,
  Gi: 1024 ** 3,
  Ti: 1024 ** 4,
}

/** Milliseconds in `text`, such as `250ms`, `30s` or `1h30m`; undefined when it is none. */
export function parseDuration(text: string, bareUnit: DurationUnit): number | undefined {
  if (/^\d+(\.\d+)?$/.test(text)) return whole(Number(text) * MILLISECONDS[bareUnit])
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) return undefined
  let total = 0
  let smallest: number = Number.POSITIVE_INFINITY
  for (const [, amount = '', unit = 'ms'] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    const size = MILLISECONDS[unit as DurationUnit] // the pattern admits no other unit
    if (size >= smallest) return undefined // 30s1h, 1m1m: more likely a slip than a wish
    smallest = size
    total += Number(amount) * size
  }
  return whole(total)
}

/** The shortest exact spelling: 90000 is `1m30s`, 1500 is `1500ms`, 0 is `0s`. */
export function formatDuration(durationMs: number): string {
  if (durationMs === 0) return '0s'
  if (durationMs % 1000 !== 0) return `${durationMs}ms`
  let rest = durationMs
  let text = ''
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    const amount = Math.floor(rest / MILLISECONDS[unit])
    if (amount > 0) text += `${amount}${unit}`
    rest -= amount * MILLISECONDS[unit]
  }
  return text
}

/** How long ago, in one or two units and rounded down, as tables show it: `12s`, `3m`, `5h20m`, `12d`. */
export function formatAge(ageMs: number): string {
  const seconds = Math.max(0, Math.floor(ageMs / 1000))
  if (seconds < 120) return `${seconds}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 120) return `${minutes}m`
  const hours = Math.floor(minutes / 60)
  if (hours < 10) return minutes % 60 === 0 ? `${hours}h` : `${hours}h${minutes % 60}m`
  if (hours < 48) return `${hours}h`
  return `${Math.floor(hours / 24)}d`
}

/** Bytes in `text`, such as `1500`, `64Ki`, `1M` or `10MiB`; undefined when it is no whole number of them. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(k|M|G|T|Ki|Mi|Gi|Ti)?B?$/.exec(text)
  return match === null ? undefined : whole(Number(match[1]) * (FACTORS[match[2] ?? ''] ?? 1))
}

/** Three digits at most and a power of 1024: `980B`, `1.5KiB`, `12MiB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes}B`
  let value = bytes
  let unit = 'B'
  for (const next of ['KiB', 'MiB', 'GiB', 'TiB']) {
    if (value < 1024) break
    value /= 1024
    unit = next
  }
  return `${value < 9.95 ? value.toFixed(1).replace(/\.0$/, '') : Math.round(value)}${unit}`
}

/** Decimal digits in groups of three, for counters in tables: `1,234,567`. */
export function formatCount(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',')
}

function whole(value: number): number | undefined {
  const rounded = Math.round(value)
  return Number.isSafeInteger(rounded) && Math.abs(rounded - value) < 1e-6 ? rounded : undefined
}
