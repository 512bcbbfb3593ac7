/**
 * Elements of the sets and maps of our table as lines of text, `set key` or `map key : value`, so that what
 * is wanted and what the kernel lists can be compared and either be written as a command.
 */

import { MARK } from '../../hoststate/state.ts'
import type { Kernel } from '../../kernel/kernel.ts'
import { isMapName, type MapName, type SetName } from './ruleset-sets.ts'

/** One element: the name of its set or map, a space, and the element as nft's language has it. */
export type ElementLine = string

/** A device's name as it may stand in a command. */
export function quoted(device: string): string {
  return `"${device}"`
}

/** A number as marks are written. */
export function hexMark(mark: number): string {
  return `0x${mark.toString(16).padStart(8, '0')}`
}

/** What these sets and maps hold; nothing where table or set are missing. */
export function listElementLines(
  kernel: Pick<Kernel, 'nft'>,
  names: readonly (SetName | MapName)[],
): readonly ElementLine[] {
  return names.flatMap((name) => {
    const kind = isMapName(name) ? 'map' : 'set'
    const place = { family: 'inet', table: MARK.table, kind, name } as const
    const elements = kernel.nft.listElements(place) ?? []
    return elements.map((element) => `${name} ${textOf(element)}`)
  })
}

/** Commands that remove the first and add the second. */
export function elementCommands(
  gone: Iterable<ElementLine>,
  come: Iterable<ElementLine>,
): readonly string[] {
  const command = (verb: string) => (line: ElementLine) => {
    const space = line.indexOf(' ')
    const [set, element] = [line.slice(0, space), line.slice(space + 1)]
    return `${verb} element inet ${MARK.table} ${set} { ${element} }`
  }
  return [...Array.from(gone, command('delete')), ...Array.from(come, command('add'))]
}

/** libnftables-json(5) ELEMENT as text; what came as text stays so. */
function textOf(element: unknown): string {
  if (typeof element === 'number') return hexMark(element)
  if (typeof element === 'string') return isText(element) ? element : quotedUnlessAddress(element)
  if (Array.isArray(element)) return element.map(textOf).join(' : ')
  const { concat, prefix, goto, jump, elem } = element as Readonly<Record<string, unknown>>
  // Marks stand alone: a number among others is a port.
  const part = (each: unknown): string => (typeof each === 'number' ? `${each}` : textOf(each))
  if (Array.isArray(concat)) return concat.map(part).join(' . ')
  if (prefix !== undefined) {
    const { addr, len } = prefix as { addr: string; len: number }
    return `${addr}/${len}`
  }
  if (elem !== undefined) return textOf((elem as { val: unknown }).val)
  if (goto !== undefined) return `goto ${(goto as { target: string }).target}`
  if (jump !== undefined) return `jump ${(jump as { target: string }).target}`
  return JSON.stringify(element)
}

/** True for an element that was written as text and is given back as it was. */
function isText(element: string): boolean {
  return /["/ ]|^0x/.test(element)
}

/** The library tells names of devices and addresses as strings alike. */
function quotedUnlessAddress(text: string): string {
  return /^[0-9.]+$/.test(text) || text.includes(':') ? text : quoted(text)
}
