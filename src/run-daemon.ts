/**
 * The daemon's life as a process: what it is handed at its start, the socket for commands, signals, and the
 * parts (`daemon.ts`), which are built again after a join.
 */

import { mkdirSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { CniDoor } from './api/cni/door.ts'
import { NetavarkDoor } from './api/netavark/door.ts'
import { RestDoor } from './api/rest/door.ts'
import type { DaemonOptions } from './cli/daemon-command.ts'
import { aboutSetting, SETTING_NAMES, type Settings } from './cli/settings.ts'
import { runParts } from './daemon.ts'
import { NetworkError } from './lib/errors.ts'
import type { LeveledLog } from './lib/log-pino.ts'
import { openService, type Service, takeSockets } from './service.ts'
import { setStateAside } from './store/membership.ts'

/** Runs until SIGTERM or SIGINT and gives the exit code; throws NetworkError when it cannot start. */
export async function runDaemon(
  settings: Settings,
  options: DaemonOptions,
  log: LeveledLog,
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
  const reload = (): void => readAgain(settings, options, log, service)
  process.on('SIGTERM', stopped).on('SIGINT', stopped).on('SIGHUP', reload)
  try {
    const [cni, netavark] = [new CniDoor(), new NetavarkDoor()]
    await using door = await RestDoor.open({
      path: sockets.api?.path ?? settings.socket,
      group: settings.socketGroup,
      ...(sockets.api === undefined ? {} : { inherited: sockets.api.duplicate() }),
      neighbours: [cni, netavark],
    })
    const surroundings = { door, cni, netavark, sockets, service }
    while (!stop.signal.aborted) await runParts(settings, log, surroundings, stop.signal)
    service.stopping()
    return 0
  } catch (error) {
    if (error instanceof Stopped) return 0 // while it waited for something
    throw error
  } finally {
    process.off('SIGTERM', stopped).off('SIGINT', stopped).off('SIGHUP', reload)
  }
}

/** Takes over the settings that may change while the daemon runs, and names the others that differ. */
function readAgain(
  running: Settings,
  options: DaemonOptions,
  log: LeveledLog,
  service: Service,
): void {
  service.reloading()
  try {
    const now = options.readAgain()
    log.setLevel(now.logLevel)
    const waiting = SETTING_NAMES.filter(
      (name) => !aboutSetting(name).live && !isDeepStrictEqual(running[name], now[name]),
    )
    log.info('settings read again', { logLevel: now.logLevel })
    if (waiting.length > 0) log.warn('settings that need a restart', { settings: waiting })
  } catch (error) {
    log.error('settings are not read: what was in force stays so', { error })
  }
  service.reloaded()
}

/** Why everything is taken down. */
class Stopped extends Error {}
