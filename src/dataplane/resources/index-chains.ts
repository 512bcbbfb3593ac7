/**
 * What each index of a network has in our table: four chains, and its part of the conntrack mark. What they are for
 * stands in `ruleset-text.ts`.
 */

import { packetMarks } from '../../hoststate/marks.ts'

/** Bits of the conntrack mark with the index of the side that opened, and of the one that answers. */
export const OPENER = 0xff000000
export const ANSWERER = 0x00ff0000

/** Which part of the conntrack mark holds an index: of the side that opened, or of the one that answers. */
export function connectionMarkOf(index: number, side: 'opener' | 'answerer'): number {
  return (index << (side === 'opener' ? 24 : 16)) >>> 0
}

/** The index that a chain of `indexChains()` is for; undefined for all others. */
export function indexOfChain(name: string): number | undefined {
  const index = /^(?:zone|from|route|to)_(\d+)$/.exec(name)?.[1]
  return index === undefined ? undefined : Number(index)
}

/** The chains of one index: name, and rules in nft's language. */
export function indexChains(
  index: number,
  packetMarkMask: number,
): readonly { readonly name: string; readonly rules: readonly string[] }[] {
  const marks = packetMarks(packetMarkMask)
  const opener = connectionMarkOf(index, 'opener')
  const answerer = connectionMarkOf(index, 'answerer')
  const route = `meta mark set meta mark & ${hex(~marks.indexMask)} | ${hex(marks.ofIndex(index))}`
  return [
    { name: `zone_${index}`, rules: [`ct original zone set ${index}`] },
    {
      name: `from_${index}`,
      rules: [
        `ct state new ct mark set ct mark & ${hex(~OPENER)} | ${hex(opener)}`,
        `ct direction reply ct mark & ${hex(ANSWERER)} != ${hex(answerer)} counter drop`,
      ],
    },
    { name: `route_${index}`, rules: [route] },
    {
      name: `to_${index}`,
      rules: [`ct mark set ct mark & ${hex(~ANSWERER)} | ${hex(answerer)}`, route],
    },
  ]
}

/** A mark as nft writes it. */
export function hex(value: number): string {
  return `0x${(value >>> 0).toString(16).padStart(8, '0')}`
}
