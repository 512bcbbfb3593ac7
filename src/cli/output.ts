/**
 * One way to print objects for every command: table, wide, json, yaml, name. What a kind of object looks
 * like in a table is data (`Shape`); choosing, ordering and printing are here. Conventions §4.
 */

import { NetworkError } from '../lib/errors.ts'
import { nearest } from '../lib/nearest.ts'
import { type Cell, formatTable, type Tone } from './table.ts'

export const FORMATS = ['table', 'wide', 'json', 'yaml', 'name'] as const
export type Format = (typeof FORMATS)[number]

export interface Column<T> {
  /** Name for --sort-by and --filter; its upper case is the heading. */
  readonly key: string
  /** Several values are printed with commas and filtered one by one. */
  readonly values: (item: T, nowMs: number) => readonly string[]
  /** Only in wide tables. */
  readonly wide?: true
  /** Also the alignment: numbers stand at the right. */
  readonly number?: (item: T) => number
  readonly tone?: (item: T) => Tone
}

/** How objects of one kind are shown. */
export interface Shape<T> {
  readonly kind: string
  readonly columns: readonly Column<T>[]
  readonly id: (item: T) => string
  readonly name: (item: T) => string
}

export interface OutputOptions {
  readonly format: Format
  readonly quiet: boolean
  readonly headers: boolean
  readonly filters: readonly string[]
  readonly sortBy: string | undefined
  readonly colour: boolean
  readonly nowMs: number
}

/** The items that all filters select, in the order asked for (else by the first column). */
export function arrange<T>(
  items: readonly T[],
  shape: Shape<T>,
  { filters, sortBy, nowMs }: OutputOptions,
): T[] {
  const wanted = filters.map((text) => {
    const [key = '', ...rest] = text.split('=')
    if (rest.length === 0) {
      throw new NetworkError('invalid', `Cannot filter by "${text}": it is not key=value`)
    }
    return { column: columnOf(shape, key), value: rest.join('=') }
  })
  const order = sortBy === undefined ? shape.columns[0] : columnOf(shape, sortBy)
  const selected = items.filter((item) =>
    wanted.every(({ column, value }) => column.values(item, nowMs).includes(value)),
  )
  return order === undefined ? selected : selected.sort((a, b) => compare(order, a, b))
}

/** Many objects, as a list document or one line each. */
export async function printList<T>(
  items: readonly T[],
  shape: Shape<T>,
  options: OutputOptions,
): Promise<string> {
  const document = { apiVersion: 'v1', kind: `${shape.kind}List`, items }
  return (await printData(document, options)) ?? printRows(items, shape, options)
}

/** One object, as its own document or one line. */
export async function printOne<T>(
  item: T,
  shape: Shape<T>,
  options: OutputOptions,
): Promise<string> {
  return (await printData(item, options)) ?? printRows([item], shape, options)
}

/** JSON or YAML; undefined when the format is for people. */
export async function printData(
  document: unknown,
  { format, quiet }: Pick<OutputOptions, 'format' | 'quiet'>,
): Promise<string | undefined> {
  if (quiet) return undefined
  if (format === 'json') return `${JSON.stringify(document, null, 2)}\n`
  if (format !== 'yaml') return undefined
  const { stringify } = await import('yaml')
  return stringify(document)
}

function printRows<T>(items: readonly T[], shape: Shape<T>, options: OutputOptions): string {
  const line = (text: (item: T) => string): string =>
    items.map((item) => `${text(item)}\n`).join('')
  if (options.quiet) return line(shape.id)
  if (options.format === 'name') return line(shape.name)
  const columns = shape.columns.filter(({ wide }) => wide !== true || options.format === 'wide')
  const heading: Cell[] = columns.map(({ key, number }) => ({
    text: key.toUpperCase().replaceAll('-', ' '),
    align: number === undefined ? 'left' : 'right',
  }))
  const rows = items.map((item) =>
    columns.map(
      ({ values, number, tone }): Cell => ({
        text: values(item, options.nowMs).join(',') || '-',
        align: number === undefined ? 'left' : 'right',
        tone: tone?.(item) ?? 'plain',
      }),
    ),
  )
  return formatTable(options.headers ? [heading, ...rows] : rows, options.colour)
}

function columnOf<T>({ columns }: Shape<T>, key: string): Column<T> {
  const column = columns.find((candidate) => candidate.key === key)
  if (column !== undefined) return column
  const keys = columns.map((candidate) => candidate.key)
  const meant = nearest(key, keys)
  const help = meant === undefined ? `one of ${keys.join(', ')}` : `perhaps "${meant}"`
  throw new NetworkError('invalid', `There is no column "${key}": ${help} was meant`)
}

function compare<T>({ number, values }: Column<T>, a: T, b: T): number {
  if (number !== undefined) return number(a) - number(b)
  return values(a, 0).join().localeCompare(values(b, 0).join(), 'en', { numeric: true })
}
