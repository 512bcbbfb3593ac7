/** What a failed step printed about its failures, out of all that it printed. */

/** Where no test says that it failed, the cause stands last. */
const LAST_LINES = 40
/** A comparison of two large objects is cut; its beginning and its end say which test and where. */
const LONGEST_PASSAGE = 60
/** Of each failure in the list at the end: enough to see what was expected of what. */
const CAUSE_LINES = 4
const CAUSE_WIDTH = 160

interface Failure {
  readonly file: string
  /** All that was printed for the test, its verdict last. */
  readonly passage: string[]
}

/**
 * The passages of `bun test` that end with a failed test, each under the name of its file, and after them all once
 * more with the first lines of their errors only, because of a long text often just the end is kept; the last lines
 * when no test failed.
 */
export function failuresIn(output: string): string {
  const lines = output.trimEnd().split('\n')
  const failures = failedTests(lines)
  if (failures.length === 0) return lines.slice(-LAST_LINES).join('\n')
  const whole = failures.map(({ file, passage }) => [file, ...shortened(passage)].join('\n'))
  const short = failures.map(({ file, passage }) => [verdictOf(file, passage), ...causeOf(passage)])
  return [...whole, ['in short:', ...short.flat()].join('\n')].join('\n\n')
}

/** Bun prints a file's name before what its tests say, a test's errors before its verdict, and all verdicts again. */
function failedTests(lines: readonly string[]): readonly Failure[] {
  const failures: Failure[] = []
  let file = ''
  let passage: string[] = []
  for (const line of lines) {
    if (/^\d+ tests? failed:$/.test(line)) break
    if (/^\S+\.test\.ts:$/.test(line)) {
      file = line
      passage = []
      continue
    }
    if (line.startsWith('  ^ ') && passage.length === 0) {
      failures.at(-1)?.passage.push(line)
      continue
    }
    passage.push(line)
    if (line.startsWith('(fail)')) failures.push({ file, passage })
    if (/^\((pass|fail|skip|todo)\)/.test(line)) passage = []
  }
  return failures
}

function shortened(passage: readonly string[]): readonly string[] {
  if (passage.length <= LONGEST_PASSAGE) return passage
  const half = LONGEST_PASSAGE / 2
  const left = passage.length - 2 * half
  return [...passage.slice(0, half), `… ${left} lines …`, ...passage.slice(-half)]
}

function verdictOf(file: string, passage: readonly string[]): string {
  const verdict = passage.find((line) => line.startsWith('(fail)')) ?? ''
  return `${file} ${verdict.slice('(fail) '.length)}`
}

function causeOf(passage: readonly string[]): readonly string[] {
  const first = passage.findIndex((line) => /^\w*[Ee]rror: |^ {2}\^ /.test(line))
  if (first === -1) return []
  return passage
    .slice(first)
    .filter((line) => line.trim() !== '' && !line.startsWith('(fail)'))
    .slice(0, CAUSE_LINES)
    .map((line) => `  ${line.trim().slice(0, CAUSE_WIDTH)}`)
}
