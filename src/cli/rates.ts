/** Rates as people write them: `8M`, `1.5Gbit`, `512k` bits per second. */

import { NetworkError } from '../lib/errors.ts'

const UNITS = { '': 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12 } as const

/** In bits per second; `flag` is named in the error `invalid`. */
export function parseRate(text: string, flag: string): number {
  const { number = '', unit = '' } =
    /^(?<number>\d+(\.\d+)?)(?<unit>[kKMGT]?)(bit|bit\/s|bps)?$/.exec(text)?.groups ?? {}
  const factor = UNITS[(unit === 'K' ? 'k' : unit) as keyof typeof UNITS] // the pattern's units
  const bits = Math.round(Number(number) * factor)
  if (number !== '' && bits > 0) return bits
  throw new NetworkError('invalid', `Cannot read the rate "${text}" of ${flag}`, {
    hint: `write bits per second, like ${flag} 8M, ${flag} 1.5G or ${flag} 512k`,
  })
}

/** As short as it is exact: `8M`. */
export function rateText(bitsPerSecond: number): string {
  for (const unit of ['T', 'G', 'M', 'k'] as const) {
    if (bitsPerSecond % (UNITS[unit] / 10) === 0 && bitsPerSecond >= UNITS[unit]) {
      return `${bitsPerSecond / UNITS[unit]}${unit}`
    }
  }
  return `${bitsPerSecond}`
}
