/** Columns of text, aligned; the last column is not padded, so lines have no trailing space. */

export type Tone = 'good' | 'bad' | 'faint' | 'plain'

export interface Cell {
  readonly text: string
  readonly tone?: Tone
  readonly align?: 'left' | 'right'
}

const SGR: Readonly<Record<Tone, string>> = { good: '32', bad: '31', faint: '2', plain: '' }
const GAP = '   '

/** The rows as lines; colour only when asked, and it never says what the text does not. */
export function formatTable(rows: readonly (readonly Cell[])[], colour: boolean): string {
  const widths: number[] = []
  for (const row of rows) {
    for (const [i, { text }] of row.entries())
      widths[i] = Math.max(widths[i] ?? 0, Bun.stringWidth(text))
  }
  return rows
    .map((row) => {
      const cells = row.map(({ text, tone = 'plain', align = 'left' }, i) => {
        const padding = ' '.repeat((widths[i] ?? 0) - Bun.stringWidth(text))
        const painted = paint(text, tone, colour)
        return align === 'left' ? painted + padding : padding + painted
      })
      return `${cells.join(GAP).trimEnd()}\n`
    })
    .join('')
}

export function paint(text: string, tone: Tone, colour: boolean): string {
  return colour && tone !== 'plain' ? `\x1b[${SGR[tone]}m${text}\x1b[0m` : text
}

export type ColourMode = 'auto' | 'always' | 'never'

/** Colour only on a terminal, without NO_COLOR, with TERM not dumb. Conventions §4, no-color.org. */
export function usesColour(
  mode: ColourMode,
  isTerminal: boolean,
  env: Readonly<Record<string, string | undefined>>,
): boolean {
  if (mode !== 'auto') return mode === 'always'
  return isTerminal && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb'
}
