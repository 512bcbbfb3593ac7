/** The door through which container engines ask: opened when everything behind it answers, closed first. */

import { readFileSync } from 'node:fs'
import { createDockerApi } from './api/docker/api.ts'
import type { EngineControl } from './api/docker/engine-control.ts'
import { serveDocker, type TlsPlace } from './api/docker/serve.ts'
import type { Settings } from './cli/settings.ts'
import type { Clock } from './lib/clock.ts'
import { isNetworkError, messageOf, NetworkError } from './lib/errors.ts'
import type { Log } from './lib/log.ts'

export interface DockerDoorOptions {
  readonly settings: Settings
  readonly hostId: string
  readonly clock: Clock
  readonly log: Log
}

export class DockerDoor {
  readonly #options: DockerDoorOptions
  #problem: string | undefined

  constructor(options: DockerDoorOptions) {
    this.#options = options
  }

  /** Why engines find nothing, where they should find something. */
  get warnings(): readonly string[] {
    return this.#problem === undefined ? [] : [`Docker finds no plug-in here: ${this.#problem}`]
  }

  /** Serves until disposed. A door that cannot be opened is told of, and everything else works without it. */
  async open(control: EngineControl): Promise<AsyncDisposable | undefined> {
    const { settings, hostId, clock, log } = this.#options
    const { dockerSocket: path, dockerScope: scope } = settings
    if (path === '' && settings.dockerListen === undefined) return undefined
    try {
      const tls = tlsPlace(settings)
      return await serveDocker({
        api: createDockerApi({ control, hostId, scope, clock, log }),
        log: log.child('docker'),
        ...(path === '' ? {} : { path }),
        ...(tls === undefined ? {} : { tls }),
      })
    } catch (error) {
      if (!isNetworkError(error)) throw error
      this.#problem = messageOf(error)
      log.error('plug-in for engines not served', { error })
      return undefined
    }
  }
}

function tlsPlace(settings: Settings): TlsPlace | undefined {
  const { dockerListen, dockerCa, dockerCert, dockerKey } = settings
  if (dockerListen === undefined) return undefined
  if (dockerCa === undefined || dockerCert === undefined || dockerKey === undefined) {
    throw new Error('the settings were not checked')
  }
  return {
    host: dockerListen.address === '' ? '::' : dockerListen.address,
    port: dockerListen.port,
    ca: read(dockerCa),
    certificate: read(dockerCert),
    key: read(dockerKey),
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new NetworkError('unavailable', `Cannot read ${path}: ${messageOf(cause)}`, { cause })
  }
}
