/**
 * The process of a CNI call alone: what it takes until it has ended, and the memory it ever had. For ADD a door
 * answers at once, so that nothing of an attach is in it.
 */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

export interface ClientUse {
  readonly wallMs: readonly number[]
  readonly cpuMs: readonly number[]
  readonly maxRssKib: number
  readonly failed: number
}

export async function buildWatch(): Promise<void> {
  await run(`${root}bench/cni/build`)
}

/** Runs the plug-in `times` times for each verb, in turns of one another. */
export async function watchClient(
  plugin: string,
  directory: string,
  times: number,
): Promise<Readonly<Record<'VERSION' | 'ADD', ClientUse>>> {
  const socket = join(directory, 'door.sock')
  const conf = join(directory, 'stdin.json')
  const config = { cniVersion: '1.0.0', name: 'bench', type: 'carrick', daemonSocket: socket }
  writeFileSync(conf, JSON.stringify(config))
  const door = createServer((request, response) => {
    request.resume()
    request.once('end', () => {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ stdout: JSON.stringify({ cniVersion: '1.0.0' }), exit: 0 }))
    })
  }).listen(socket)
  await once(door, 'listening')
  try {
    return { VERSION: await watch('VERSION'), ADD: await watch('ADD') }
  } finally {
    door.close()
    door.closeAllConnections()
  }

  async function watch(verb: string): Promise<ClientUse> {
    const { stdout } = await run(`${root}build/bench/watch`, [String(times), conf, plugin], {
      env: {
        CNI_COMMAND: verb,
        CNI_CONTAINERID: 'bench',
        CNI_NETNS: '/run/netns/bench',
        CNI_IFNAME: 'eth0',
        CNI_PATH: '/opt/cni/bin',
      },
    })
    const use = JSON.parse(stdout) as ClientUse // as written in watch.c
    if (use.failed > 0) throw new Error(`${use.failed} of ${times} calls of ${verb} failed`)
    return use
  }
}
