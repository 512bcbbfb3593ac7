/**
 * Real firewalls on a host of a lab, as an administrator runs them: dockerd, ufw, firewalld with a message bus
 * of its own. They live in the host's namespaces and write to its copies of /etc and /var/lib; all of it goes
 * with the lab.
 */

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import type { Lab } from '../src/lab/lab.ts'

const START_MS = 30_000

/** Runs a shell command on the host; throws with what it said when it fails. */
export async function shellOn(lab: Lab, host: string, command: string): Promise<string> {
  const { stdout, stderr, exitCode } = await lab.run(host, ['sh', '-c', command])
  if (exitCode === 0) return stdout
  throw new Error(`${command} on ${host} ended with ${exitCode}: ${stderr}${stdout}`)
}

/** firewalld and its message bus. */
export class Firewalld implements AsyncDisposable {
  readonly #processes: readonly ChildProcess[]

  private constructor(processes: readonly ChildProcess[]) {
    this.#processes = processes
  }

  /** Resolves when it answers. */
  static async start(lab: Lab, host: string): Promise<Firewalld> {
    await shellOn(lab, host, 'mkdir -p /run/dbus')
    const quiet = { stdio: 'ignore' } as const
    const bus = lab.spawn(host, ['dbus-daemon', '--system', '--nofork', '--nopidfile'], quiet)
    await eventually('the message bus is there', async () => {
      return (await lab.run(host, ['test', '-S', '/run/dbus/system_bus_socket'])).exitCode === 0
    })
    const daemon = lab.spawn(host, ['firewalld', '--nofork', '--nopid'], quiet)
    await eventually('firewalld answers', async () => {
      return (await lab.run(host, ['firewall-cmd', '--state'])).exitCode === 0
    })
    return new Firewalld([daemon, bus])
  }

  /** Ends it; it takes its table along. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of this.#processes) {
      if (process.exitCode !== null || process.signalCode !== null) continue
      const ended = once(process, 'exit')
      process.kill('SIGTERM')
      await ended
    }
  }
}

/** Polls until it holds. */
export async function eventually(
  what: string,
  holds: () => Promise<boolean> | boolean,
  patienceMs = START_MS,
): Promise<void> {
  for (const deadline = performance.now() + patienceMs; !(await holds()); await pause(20)) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`)
  }
}
