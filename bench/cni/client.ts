/**
 * The process of a CNI call alone: what it takes until it has ended, and the memory it ever had. For ADD a door
 * answers at once, so that nothing of an attach is in it.
 */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { FRAMED } from '../../src/api/cni/framing.ts'
import { DEFAULT_SOCKET } from '../../src/cni/exchange.ts'
import type { Lab } from '../../src/lab/lab.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

const RESULT = JSON.stringify({ cniVersion: '1.0.0' })

type Verb = 'VERSION' | 'ADD'

export interface ClientUse {
  readonly wallMs: readonly number[]
  readonly cpuMs: readonly number[]
  readonly maxRssKib: number
  readonly failed: number
}

export async function buildWatch(): Promise<void> {
  await run(`${root}bench/cni/build`)
}

/** Runs a program `times` times for each verb, as a plug-in on a host where nobody else answers. */
export async function watchClient(
  lab: Lab,
  host: string,
  { program, directory, times }: { program: string; directory: string; times: number },
): Promise<Readonly<Record<Verb, ClientUse>>> {
  const socket = lab.outside(host, DEFAULT_SOCKET)
  mkdirSync(dirname(socket), { recursive: true })
  const door = createServer(answer).listen(socket)
  await once(door, 'listening')
  try {
    const conf = join(directory, 'stdin.json')
    writeFileSync(conf, JSON.stringify({ cniVersion: '1.0.0', name: 'bench', type: 'carrick' }))
    const argv = [`${root}build/bench/watch`, String(times), conf, program]
    return {
      VERSION: await watch(lab, host, argv, 'VERSION'),
      ADD: await watch(lab, host, argv, 'ADD'),
    }
  } finally {
    door.close()
    door.closeAllConnections()
    rmSync(socket, { force: true })
  }
}

async function watch(
  lab: Lab,
  host: string,
  argv: readonly string[],
  verb: Verb,
): Promise<ClientUse> {
  const env = {
    ...{ CNI_COMMAND: verb, CNI_CONTAINERID: 'bench', CNI_NETNS: '/run/netns/bench' },
    ...{ CNI_IFNAME: 'eth0', CNI_PATH: '/opt/cni/bin', PATH: '/usr/bin:/bin' },
  }
  const { stdout, stderr, exitCode } = await lab.run(host, argv, { env })
  if (exitCode !== 0) throw new Error(`${verb}: ${stderr}`)
  const use = JSON.parse(stdout) as ClientUse // as written in watch.c
  if (use.failed > 0) throw new Error(`${use.failed} of ${use.wallMs.length} ${verb} failed`)
  return use
}

/** In the words of whoever asks: the small program or the executable. */
function answer(request: IncomingMessage, response: ServerResponse): void {
  const framed = request.headers['content-type'] === FRAMED
  request.resume()
  request.once('end', () => {
    const body = framed ? `0\0${RESULT}\0\0` : JSON.stringify({ stdout: RESULT, exit: 0 })
    response.setHeader('content-length', body.length)
    response.end(body)
  })
}
