/**
 * The daemon's life as a process: what it is handed at its start, the socket for commands, signals, and the
 * parts (`daemon.ts`), which are built again after a join.
 */

import { mkdirSync } from 'node:fs'
import { RestDoor } from './api/rest/door.ts'
import type { DaemonOptions } from './cli/daemon-command.ts'
import type { Settings } from './cli/settings.ts'
import { runParts } from './daemon.ts'
import { NetworkError } from './lib/errors.ts'
import type { Log } from './lib/log.ts'
import { openService, takeSockets } from './service.ts'
import { setStateAside } from './store/membership.ts'

/** Runs until SIGTERM or SIGINT and gives the exit code; throws NetworkError when it cannot start. */
export async function runDaemon(
  settings: Settings,
  options: DaemonOptions,
  log: Log,
): Promise<number> {
  if (process.getuid?.() !== 0) {
    throw new NetworkError(
      'forbidden',
      'Cannot run the daemon: it changes the network, which root may do',
      {
        hint: 'sudo carrick daemon',
      },
    )
  }
  const sockets = takeSockets(settings, log)
  using service = openService()
  mkdirSync(settings.stateDir, { recursive: true, mode: 0o700 })
  if (options.newIdentity) {
    const place = setStateAside(settings.stateDir, new Date())
    log.warn('old state put aside', { place })
  }
  const stop = new AbortController()
  const stopped = (signal: NodeJS.Signals): void => stop.abort(new Stopped(signal))
  process.on('SIGTERM', stopped).on('SIGINT', stopped)
  try {
    await using door = await RestDoor.open({
      path: sockets.api?.path ?? settings.socket,
      group: settings.socketGroup,
      ...(sockets.api === undefined ? {} : { inherited: sockets.api.duplicate() }),
    })
    const surroundings = { door, sockets, service }
    while (!stop.signal.aborted) await runParts(settings, log, surroundings, stop.signal)
    service.stopping()
    return 0
  } catch (error) {
    if (error instanceof Stopped) return 0 // while it waited for something
    throw error
  } finally {
    process.off('SIGTERM', stopped).off('SIGINT', stopped)
  }
}

/** Why everything is taken down. */
class Stopped extends Error {}
