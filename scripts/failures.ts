/** What a failed step printed about its failures, out of all that it printed. */

/** Where no test says that it failed, the cause stands last. */
const LAST_LINES = 40
/** A comparison of two large objects is cut; its beginning and its end say which test and where. */
const LONGEST_PASSAGE = 60

/**
 * The passages of `bun test` that end with a failed test, each under the name of its file; the last lines when there
 * is none. Bun prints a file's name before what its tests say, and a test's errors before its verdict.
 */
export function failuresIn(output: string): string {
  const lines = output.trimEnd().split('\n')
  const failures: string[] = []
  let file = ''
  let passage: string[] = []
  for (const line of lines) {
    if (/^\S+\.test\.ts:$/.test(line)) {
      file = line
      passage = []
      continue
    }
    if (line.startsWith('  ^ ') && passage.length === 0 && failures.length > 0) {
      failures.push(line)
      continue
    }
    passage.push(line)
    if (line.startsWith('(fail)')) failures.push('', file, ...shortened(passage))
    if (/^\((pass|fail|skip|todo)\)/.test(line)) passage = []
  }
  return (failures.length > 0 ? failures.slice(1) : lines.slice(-LAST_LINES)).join('\n')
}

function shortened(passage: readonly string[]): readonly string[] {
  if (passage.length <= LONGEST_PASSAGE) return passage
  const half = LONGEST_PASSAGE / 2
  const left = passage.length - 2 * half
  return [...passage.slice(0, half), `… ${left} lines …`, ...passage.slice(-half)]
}
