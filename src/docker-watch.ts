/** The watcher of this host's container engine, put together; and what is not wired on this host. */

import { existsSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { hasResolver } from './cli/engine-settings.ts'
import type { Settings } from './cli/settings.ts'
import type { Control } from './control/control.ts'
import type { DockerControl } from './control/docker-control.ts'
import type { DockerView } from './control/docker-view.ts'
import { DockerWatcher } from './engines/docker/watcher.ts'
import type { Clock } from './lib/clock.ts'
import { isNetworkError } from './lib/errors.ts'
import type { Log } from './lib/log.ts'
import type { Journal } from './store/journal/journal.ts'
import type { Replica } from './store/replica/replica.ts'

export interface DockerWatchOptions {
  readonly settings: Settings
  readonly control: Control & DockerControl
  readonly replica: Replica
  readonly journal: Journal
  readonly clock: Clock
  readonly log: Log
}

export interface DockerWatch extends AsyncDisposable {
  readonly view: DockerView
}

const ENGINE_SETTINGS = '/etc/docker/daemon.json'
const UNIT = 'carrick.service'
/** systemd.unit(5), and where it says that it is the one that runs: sd_booted(3). */
const UNIT_DIRECTORIES = ['/etc/systemd/system', '/lib/systemd/system', '/usr/lib/systemd/system']
const SYSTEMD = '/run/systemd/system'
const INSTALL = 'sudo carrick docker install'

/** Follows the engine until disposed, if the settings name one. */
export function watchDocker(options: DockerWatchOptions): DockerWatch {
  const { settings, control, replica, journal, clock, log } = options
  const { dockerEngine: socketPath, dockerSocket } = settings
  const served = dockerSocket !== '' || settings.dockerListen !== undefined
  const driver = dockerSocket === '' ? 'carrick' : basename(dockerSocket, '.sock')
  const pluginSocket = dockerSocket === '' ? {} : { pluginSocket: dockerSocket }
  if (socketPath === '') {
    const view: DockerView = {
      engine: { state: 'off', socket: '' },
      plugin: { driver, ...(dockerSocket === '' ? {} : { socket: dockerSocket }) },
      networks: [],
      endpoints: { plugged: 0, held: 0 },
      orphans: [],
      hints: ['No engine is followed: the setting dockerEngine is empty'],
    }
    return { view, [Symbol.asyncDispose]: async () => undefined }
  }
  return new DockerWatcher({
    ...{ socketPath, driver, served, ...pluginSocket, control, replica, clock, log },
    memory: journal.settings,
    hints: () => [
      ...(served ? [] : ['Engines find no plug-in: the setting dockerSocket is empty']),
      ...missingWires(),
    ],
  })
}

/** What the host still lacks, and what would make it right. */
function missingWires(): readonly string[] {
  const hints: string[] = []
  try {
    const text = existsSync(ENGINE_SETTINGS) ? readFileSync(ENGINE_SETTINGS, 'utf8') : undefined
    if (!hasResolver(text, ENGINE_SETTINGS)) {
      hints.push(
        `Containers do not ask Carrick for names: "dns" in ${ENGINE_SETTINGS} does not name its resolver; ${INSTALL}, or docker run --dns`,
      )
    }
  } catch (error) {
    hints.push(isNetworkError(error) ? error.message : `Cannot read ${ENGINE_SETTINGS}: ${error}`)
  }
  const hasUnit = UNIT_DIRECTORIES.some((directory) => existsSync(`${directory}/${UNIT}`))
  if (existsSync(SYSTEMD) && !hasUnit) {
    hints.push(`Nothing starts Carrick before Docker: there is no unit ${UNIT}; ${INSTALL}`)
  }
  return hints
}
