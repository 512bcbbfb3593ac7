/**
 * The one executable. It looks at its name, its variables and its verb and loads only what that needs, so that a
 * client starts in a few milliseconds (R24): the daemon's packages are never read by a command, and nothing of the
 * command line by a CNI call.
 */

import { roleOf } from './cni/role.ts'

const role = roleOf({
  argv0: process.argv0,
  args: process.argv.slice(2),
  execPath: process.execPath,
  command: process.env['CNI_COMMAND'],
  isTerminal: () => process.stdin.isTTY === true,
})
if (role === 'cli') {
  const { runHere } = await import('./run-cli.ts')
  process.exit(await runHere(process.argv.slice(2)))
}
const { runBanner, runNetavark, runPlugin } = await import('./cni/main.ts')
if (role === 'netavark') process.exit(await runNetavark(process.argv.slice(2)))
process.exit(role === 'plugin' ? await runPlugin() : await runBanner(process.argv0))
