/**
 * The daemon and the service manager that started it: which sockets were handed over, and what the manager hears:
 * ready, a sentence about it, alive. Without a manager all of it is nothing. Conventions §9.
 */

import type { Settings } from './cli/settings.ts'
import { type InheritedSocket, takeInheritedSockets } from './kernel/inherited-sockets.ts'
import {
  openServiceManager,
  reloadingSince,
  type ServiceManager,
} from './kernel/service-manager.ts'
import type { Log } from './lib/log.ts'

/** Sockets that were open before this process, by what they are for. */
export interface HandedOver {
  readonly api: InheritedSocket | undefined
  readonly docker: InheritedSocket | undefined
}

/** By the units' names for them, else by path. Call it once, before anything else opens a descriptor. */
export function takeSockets(settings: Settings, log: Log): HandedOver {
  const all = takeInheritedSockets(process.env, process.pid)
  const find = (name: string, path: string) =>
    all.find((socket) => socket.path !== undefined && socket.name === name) ??
    all.find((socket) => socket.path !== undefined && socket.path === path)
  const found = { api: find('api', settings.socket), docker: find('docker', settings.dockerSocket) }
  for (const socket of all) {
    if (socket === found.api || socket === found.docker) continue
    log.warn('a socket that was handed over is not used', { name: socket.name, path: socket.path })
  }
  return found
}

/** The manager of this process. */
export function openService(): Service {
  return new Service(openServiceManager(process.env, process.pid))
}

/** Signs of life within the time in which one is wanted. */
const BEATS = 3

export class Service implements Disposable {
  readonly #manager: ServiceManager
  readonly #timer: ReturnType<typeof setInterval> | undefined
  #alive: () => Promise<unknown> = async () => undefined
  #beating = false
  #isReady = false

  constructor(manager: ServiceManager) {
    this.#manager = manager
    const { watchdogMs } = manager
    if (watchdogMs !== undefined) {
      this.#timer = setInterval(() => void this.#beat(), watchdogMs / BEATS)
    }
  }

  /** One sentence for `systemctl status`. */
  status(sentence: string): void {
    this.#manager.tell({ STATUS: sentence })
  }

  /** What waits for this daemon may start: its doors answer. */
  ready(sentence: string): void {
    this.#isReady = true
    this.#manager.tell({ READY: '1', STATUS: sentence })
  }

  /** Settings are read again, until `reloaded`. */
  reloading(): void {
    if (!this.#isReady) return
    this.#manager.tell({ RELOADING: '1', MONOTONIC_USEC: reloadingSince() })
  }

  reloaded(): void {
    if (this.#isReady) this.#manager.tell({ READY: '1' })
  }

  stopping(): void {
    this.#manager.tell({ STOPPING: '1', STATUS: 'Stopping; packets pass on' })
  }

  /** Until disposed the daemon counts as alive as long as `alive` resolves in time. */
  watch(alive: () => Promise<unknown>): Disposable {
    this.#alive = alive
    return {
      [Symbol.dispose]: () => {
        this.#alive = async () => undefined
      },
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }

  async #beat(): Promise<void> {
    if (this.#beating) return
    this.#beating = true
    try {
      await this.#alive()
      this.#manager.tell({ WATCHDOG: '1' })
    } catch {
      // No sign of life: what was asked is being taken down, or the manager ends what hangs.
    } finally {
      this.#beating = false
    }
  }
}
