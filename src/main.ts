/**
 * The one executable. It looks at its verb and loads only what that needs, so that a client starts in a few
 * milliseconds (R24): the daemon's packages are never read by a command.
 */

import { runCliHere } from './cli/main.ts'
import { beginModestly } from './lib/runtime.ts'

const code = await runCliHere(process.argv.slice(2), async (settings, options) => {
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
process.exit(code)
