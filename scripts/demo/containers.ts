/** What runs in the containers of the demo, and on its hosts: the server, the client and the counter. */

import { once } from 'node:events'
import { join } from 'node:path'
import type { Lab, LabContainer } from '../../src/lab/lab.ts'

const BUN = process.execPath

/** Starts the demo's server in a container and waits until it listens. */
export async function serve(lab: Lab, container: LabContainer): Promise<void> {
  const child = lab.spawnIn(container, [BUN, script('server.ts'), container.name], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (child.stdout === null) throw new Error('the server has no output')
  await once(child.stdout, 'data')
}

/** The same on a host itself, for the bare wire. */
export async function serveOnHost(lab: Lab, host: string): Promise<void> {
  const child = lab.spawn(host, [BUN, script('server.ts'), host], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (child.stdout === null) throw new Error('the server has no output')
  await once(child.stdout, 'data')
}

/** Runs the demo's client in a container, or on the host itself, and gives its answer. */
export async function runClient<T>(
  lab: Lab,
  where: LabContainer | string,
  ...args: readonly string[]
): Promise<T> {
  const argv = [BUN, script('client.ts'), ...args]
  const { stdout, stderr, exitCode } =
    typeof where === 'string' ? await lab.run(where, argv) : await lab.runIn(where, argv)
  if (exitCode !== 0) throw new Error(`client ${args.join(' ')}: ${stderr.trim()}`)
  return JSON.parse(stdout) as T
}

/** Starts the datagram counter; the result comes when it is told to stop. */
export async function startCounting(
  lab: Lab,
  container: LabContainer,
  address: string,
): Promise<() => Promise<{ sent: number; lost: number }>> {
  const child = lab.spawnIn(container, [BUN, script('client.ts'), 'udp', address], {
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const { stdin, stdout, stderr } = child
  if (stdin === null || stdout === null || stderr === null) throw new Error('no pipes')
  let text = ''
  stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  await once(stderr, 'data')
  return async () => {
    const gone = once(child, 'close')
    stdin.end()
    await gone
    return JSON.parse(text) as { sent: number; lost: number }
  }
}

function script(name: string): string {
  return join(import.meta.dirname, name)
}
