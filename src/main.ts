/**
 * The one executable. It looks at its name, its variables and its verb and loads only what that needs, so that a
 * client starts in a few milliseconds (R24): the daemon's packages are never read by a command. What runtimes call is
 * small and loaded at once: each file that is loaded by the way takes a container's start longer.
 */

import { runBanner, runNetavark, runPlugin } from './cni/main.ts'
import { roleOf } from './cni/role.ts'

const role = roleOf({
  argv0: process.argv0,
  args: process.argv.slice(2),
  execPath: process.execPath,
  command: process.env['CNI_COMMAND'],
  isTerminal: () => process.stdin.isTTY === true,
})
switch (role) {
  case 'plugin':
    await runPlugin()
    break
  case 'banner':
    runBanner(process.argv0)
    break
  case 'netavark':
    await runNetavark(process.argv.slice(2))
    break
  case 'cli': {
    const { runHere } = await import('./run-cli.ts')
    process.exit(await runHere(process.argv.slice(2)))
    break
  }
  default:
    role satisfies never
}
