/** The mask that says which bits of the packet mark are ours (R11). */

/** Contiguous bits that the mask must have. */
export const MARK_BITS = 10

/** True for MARK_BITS contiguous bits of 32. */
export function isMarkMask(mask: number): boolean {
  const lowest = lowestBit(mask)
  return lowest >= 0 && lowest <= 32 - MARK_BITS && mask === (2 ** MARK_BITS - 1) * 2 ** lowest
}

/** Number of the lowest bit that is set, or -1. */
export function lowestBit(mask: number): number {
  return 31 - Math.clz32(mask & -mask)
}
