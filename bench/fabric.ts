/** Real daemons in the hosts of a lab: started, joined and asked as on machines. */
import type { ChildProcess } from 'node:child_process'
import { existsSync, openSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Lab, LabContainer } from '../src/lab/lab.ts'
import { Api } from './api.ts'

/** A given one is measured as it is. */
export const executable =
  process.env['CARRICK_EXECUTABLE'] ?? fileURLToPath(new URL('../build/carrick', import.meta.url))
const PATIENCE_MS = 20_000
/** Where hosts with a token ask to join, unless the setting `joinListen` says otherwise. */
const JOIN_PORT = 7441

export interface Daemon {
  readonly host: string
  readonly process: ChildProcess
  readonly api: Api
}

/** Throws when the executable has not been built: better said before a lab is made. */
export function checkExecutable(): void {
  if (!existsSync(executable)) throw new Error(`Cannot find ${executable}: npm run build`)
}

/** Starts the daemon of one host; returns when its API answers. */
export async function startDaemon(
  lab: Lab,
  host: string,
  args: readonly string[] = [],
): Promise<Daemon> {
  const logPath = lab.outside(host, '/run/daemon.log')
  const log = openSync(logPath, 'a')
  const process = lab.spawn(host, [executable, 'daemon', ...args], { stdio: ['ignore', log, log] })
  const api = new Api(lab.outside(host, '/run/carrick/carrick.sock'))
  await until(`the daemon of ${host} answers`, async () => {
    if (process.exitCode !== null) {
      throw new Error(`The daemon of ${host} ended: ${readFileSync(logPath, 'utf8').slice(-2000)}`)
    }
    return await api.status().then(
      () => true,
      () => false,
    )
  })
  return { host, process, api }
}

/** Starts a daemon in every host: the first with the embedded store, the others joined to it by token. */
export async function startFabric(lab: Lab): Promise<readonly Daemon[]> {
  const daemons: Daemon[] = []
  for (const { name } of lab.hosts) daemons.push(await startDaemon(lab, name))
  const [first, ...others] = daemons
  if (first === undefined) throw new Error('A lab has a host')
  const address = `${lab.hosts[0]?.underlay[0].ip}:${JOIN_PORT}`
  for (const { api } of others) await api.join(address, await first.api.createToken())
  for (const { host, api } of daemons) {
    await until(`${host} knows all hosts`, async () => (await api.hosts()) === daemons.length)
    await api.settled(PATIENCE_MS)
  }
  return daemons
}

/** Attaches a container and tells its addresses. */
export async function attach(
  { api }: Daemon,
  network: string,
  container: LabContainer,
): Promise<readonly string[]> {
  const { netns, name } = container
  return (await api.attach(network, { netns, name })).spec.addresses
}

/** Polls until it holds; throws with `what` when it does not in 20 s. */
export async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  for (const deadline = Date.now() + PATIENCE_MS; !(await holds()); await sleep(20)) {
    if (Date.now() > deadline) throw new Error(`Waited too long: ${what}`)
  }
}
