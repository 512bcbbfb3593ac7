/**
 * Builds the one executable, build/carrick, and beside it the small one that runtimes of CNI call. Code is split, so that a short-lived client reads only its own
 * part (R24); the dataplane's threads are entry points of their own. Bytecode spares the start the parsing. Nothing is
 * taken from the directory the user happens to be in: a bunfig.toml there could name code to run as root.
 */

import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { CNI_CLIENT_SUFFIX } from '../src/cni/exchange.ts'
import { buildCniClient } from './cni-client.ts'

const root = dirname(import.meta.dirname)
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  version: string
}
const result = spawnSync(
  process.execPath,
  [
    'build',
    '--compile',
    '--splitting',
    '--minify-whitespace',
    '--bytecode',
    '--format=esm',
    '--no-compile-autoload-bunfig',
    '--no-compile-autoload-dotenv',
    '--target=bun',
    `--define=process.env.CARRICK_VERSION="${version}"`,
    '--outfile=build/carrick',
    'src/main.ts',
    'src/dataplane/worker.ts',
    'src/dataplane/reaper.ts',
  ],
  { cwd: root, stdio: ['ignore', 2, 2] },
)
if (result.status !== 0) process.exit(result.status ?? 1)

const client = join(root, `build/carrick${CNI_CLIENT_SUFFIX}`)
const problem = buildCniClient(client)
if (problem !== undefined) {
  rmSync(client, { force: true }) // one of another build may speak otherwise
  console.error(`carrick: no ${client}, calls of CNI runtimes take some 5 ms more: ${problem}`)
}
