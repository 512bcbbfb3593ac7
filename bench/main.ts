/**
 * `npm run bench -- SUITE [--json] [--quick] [--rounds N] [--subjects a,b]`: measures side by side and prints
 * a table with what was promised, or with --json one array of rows as the last line of standard output.
 * Progress goes to standard error.
 */
import { parseArgs } from 'node:util'
import { messageOf } from '../src/lib/errors.ts'
import { attachSuite } from './attach.ts'
import { cniSuite } from './cni.ts'
import { datapath } from './datapath.ts'
import { dockerSuite } from './docker.ts'
import { northSouth } from './north-south.ts'
import { countStolen } from './quiet.ts'
import { formatTable } from './rows.ts'
import type { Suite } from './suite.ts'

const SUITES: readonly Suite[] = [datapath, attachSuite, northSouth, dockerSuite, cniSuite]
const USAGE = `usage: npm run bench -- ${SUITES.map(({ name }) => name).join('|')} [--json] [--quick] [--rounds N] [--subjects a,b]`

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  console.error(`error: ${messageOf(error)}`)
  process.exitCode = 1
}

async function main(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      subjects: { type: 'string' },
    },
  })
  const suite = SUITES.find(({ name }) => name === positionals[0])
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds)
  const countable = rounds === undefined || (Number.isInteger(rounds) && rounds > 0)
  if (suite === undefined || positionals.length !== 1 || !countable) {
    console.error(USAGE)
    return 2
  }
  const stolen = countStolen()
  const rows = await suite.run({
    quick: values.quick,
    rounds,
    subjects: values.subjects === undefined ? undefined : new Set(values.subjects.split(',')),
    progress: (line) => console.error(line),
  })
  console.error(`processor time taken by other machines: ${stolen().toFixed(1)} %`)
  console.log(values.json ? JSON.stringify(rows) : formatTable(rows, suite.bounds))
  return 0
}
