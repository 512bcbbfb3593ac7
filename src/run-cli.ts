/** The command line of this process; only `carrick daemon` loads what the daemon needs. */

import { runCliHere } from './cli/main.ts'
import { beginModestly } from './lib/runtime.ts'

/** Gives the exit code. */
export function runHere(args: readonly string[]): Promise<number> {
  return runCliHere(args, async (settings, options) => {
    const [{ execute }, { passOnSockets }] = await Promise.all([
      import('./kernel/process.ts'),
      import('./kernel/inherited-sockets.ts'),
    ])
    beginModestly((...program) => {
      passOnSockets(process.env, process.pid)
      return execute(...program)
    })
    const [{ runDaemon }, { createLog }] = await Promise.all([
      import('./run-daemon.ts'),
      import('./lib/log-pino.ts'),
    ])
    return runDaemon(
      settings,
      options,
      createLog({
        level: settings.logLevel,
        style: process.stderr.isTTY === true ? 'text' : 'json',
        priorities: process.env['JOURNAL_STREAM'] !== undefined,
        write: (line) => process.stderr.write(line),
      }),
    )
  })
}
