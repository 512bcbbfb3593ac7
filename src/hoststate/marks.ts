/**
 * Our ten bits of the packet mark. A packet between the host's stack and a network carries: that our table
 * let it pass, that it has yet to look at it, and the network's index here where prefixes overlap. Which ten
 * bits is a setting, for the mark is shared with whatever else runs on the host (R11).
 */

import { isMarkMask, lowestBit, MARK_BITS } from '../net/mark-mask.ts'

/** The setting `packetMarkMask` when nobody says otherwise. */
export const DEFAULT_MARK_MASK = 0xffc00000

/** Networks with a prefix that another one here has too are numbered from 1 to this. */
export const MAX_INDEX = 255

/** The mask's parts, as unsigned 32-bit numbers. */
export interface PacketMarks {
  readonly mask: number
  /** Set by our table on what it lets pass; nothing enters a network without it. */
  readonly passed: number
  /** Set by the program on what it hands to the host; cleared by our table. */
  readonly unchecked: number
  /** The bits that hold an index. */
  readonly indexMask: number
  /** The bits for a network's index, 0 for none. */
  ofIndex(index: number): number
}

/** The parts of a mask; throws when it is none. */
export function packetMarks(mask: number): PacketMarks {
  const lowest = lowestBit(mask)
  if (!isMarkMask(mask)) {
    throw new Error(`not a mask of ${MARK_BITS} contiguous bits: 0x${mask.toString(16)}`)
  }
  const unit = 2 ** lowest
  return {
    mask,
    passed: unit,
    unchecked: unit * 2,
    indexMask: unit * 4 * MAX_INDEX,
    ofIndex: (index) => unit * 4 * index,
  }
}
