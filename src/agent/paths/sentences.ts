/** What was found about paths, in sentences for the operator. */

import type { PathProblem, PathReport } from '../../model/path.ts'

/** One sentence for each problem that somebody should look into; silence is none. */
export function pathWarnings(
  reports: readonly PathReport[],
  nameOf: (hostId: string) => string,
): readonly string[] {
  return reports.flatMap((report) =>
    report.problems.flatMap((problem) => sentenceOf(problem, report, nameOf(report.hostId)) ?? []),
  )
}

function sentenceOf(
  problem: PathProblem,
  { carrier, mtuBytes, expectedBytes }: PathReport,
  host: string,
): string | undefined {
  const way = `on the way to ${host} (${carrier})`
  switch (problem) {
    case 'no-answer':
      return undefined
    case 'smaller-path':
      return `Packets larger than ${mtuBytes} bytes vanish ${way}, where ${expectedBytes} should pass: containers are held to the smaller size`
    case 'fragments-dropped':
      return `Packets in pieces vanish ${way}: large datagrams do not arrive`
    case 'checksums-corrupted':
      return `Checksums that are left to the network card arrive wrong ${way}: containers compute them in software, which is slower`
    case 'streams-stall':
      return `TCP streams stall ${way}, though datagrams of full size pass`
    default:
      return problem satisfies never
  }
}
