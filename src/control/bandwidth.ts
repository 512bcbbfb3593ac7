/** What may be asked of an endpoint's bandwidth. Pure. */

import { type Bandwidth, RATES } from '../model/endpoint.ts'

/** Calls `wrong` for every limit that no kernel keeps; `pointer` is where the bandwidth stands. */
export function checkBandwidth(
  bandwidth: Bandwidth | undefined,
  pointer: string,
  wrong: (pointer: string, message: string) => void,
): void {
  for (const direction of ['toContainer', 'fromContainer'] as const) {
    const { bitsPerSecond, burstBits } = bandwidth?.[direction] ?? {}
    if (bitsPerSecond !== undefined && !isRate(bitsPerSecond)) {
      const { leastBitsPerSecond: least, mostBitsPerSecond: most } = RATES
      wrong(
        `${pointer}/${direction}/bitsPerSecond`,
        `a rate of ${bitsPerSecond} bits per second cannot be kept: from ${least} to ${most}`,
      )
    }
    if (burstBits !== undefined && !(Number.isSafeInteger(burstBits) && burstBits > 0)) {
      wrong(`${pointer}/${direction}/burstBits`, `a burst has at least one bit, not ${burstBits}`)
    }
  }
}

function isRate(bits: number): boolean {
  return (
    Number.isSafeInteger(bits) &&
    bits >= RATES.leastBitsPerSecond &&
    bits <= RATES.mostBitsPerSecond
  )
}
