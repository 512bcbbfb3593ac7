/** The door through which container engines ask: opened when everything behind it answers, closed first. */

import { readFileSync } from 'node:fs'
import { createDockerApi, createExcuses } from './api/docker/api.ts'
import type { EngineControl } from './api/docker/engine-control.ts'
import { type DockerServer, serveDocker, type TlsPlace } from './api/docker/serve.ts'
import type { Settings } from './cli/settings.ts'
import type { InheritedSocket } from './kernel/inherited-sockets.ts'
import type { Clock } from './lib/clock.ts'
import { isNetworkError, messageOf, NetworkError } from './lib/errors.ts'
import type { Log } from './lib/log.ts'

export interface DockerDoorOptions {
  readonly settings: Settings
  readonly clock: Clock
  readonly log: Log
  /** The socket, opened by the service manager: engines wait at it before the door opens, and after. */
  readonly inherited: InheritedSocket | undefined
}

/** An engine that calls has no patience limit of its own: it is told after this long why nothing happens. */
const PATIENCE_MS = 5_000

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

  /**
   * Waits for something without which nothing can be done. Engines that wait at a socket of the service manager's
   * are told so after a while, and `onLong` is called then.
   */
  async whileWaiting<T>(awaited: Promise<T>, onLong: () => void): Promise<T> {
    const { settings, clock, log, inherited } = this.#options
    const done = new AbortController()
    const excuse = async (): Promise<DockerServer | undefined> => {
      await clock.sleep(PATIENCE_MS, done.signal)
      onLong()
      if (inherited === undefined) return undefined
      return await serveDocker({
        api: createExcuses(settings.dockerScope, NOT_YET),
        log: log.child('docker'),
        inherited: inherited.duplicate(),
      })
    }
    const excused = excuse().catch((error: unknown) => {
      if (!done.signal.aborted) log.error('engines are not told what is waited for', { error })
      return undefined
    })
    try {
      return await awaited
    } finally {
      done.abort(new Error('no longer waited for'))
      await (await excused)?.[Symbol.asyncDispose]()
    }
  }

  /** Serves until disposed. A door that cannot be opened is told of, and everything else works without it. */
  async open(control: EngineControl, hostId: string): Promise<AsyncDisposable | undefined> {
    const { settings, clock, log, inherited } = this.#options
    const { dockerSocket: path, dockerScope: scope, resolverAddresses: resolvers } = settings
    if (path === '' && inherited === undefined && settings.dockerListen === undefined) {
      return undefined
    }
    try {
      const tls = tlsPlace(settings)
      return await serveDocker({
        api: createDockerApi({ control, hostId, scope, resolvers, clock, log }),
        log: log.child('docker'),
        ...(path === '' ? {} : { path }),
        ...(inherited === undefined ? {} : { inherited: inherited.duplicate() }),
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

const NOT_YET = new NetworkError(
  'unavailable',
  'Cannot answer yet: the daemon is starting and waits for the shared store',
  { hint: 'journalctl -u carrick   # what it waits for' },
)

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
