/** Runs the traffic generator between two network namespaces; it is compiled when it is first needed. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** What is measured, and how the generator is asked for it. */
export const TRAFFIC = {
  tcp_rr: { unit: '1/s', argv: ['rr'] },
  tcp_crr: { unit: '1/s', argv: ['crr'] },
  tcp_stream: { unit: 'Gbit/s', argv: ['stream'] },
  tcp_stream4: { unit: 'Gbit/s', argv: ['stream', '--flows', '4'] },
  udp_pps: { unit: '1/s', argv: ['udp'] },
} as const
export type TrafficMetric = keyof typeof TRAFFIC

/** Two ends of a path: pins of the namespaces, and the address at which the server is reached. */
export interface TrafficEnds {
  readonly clientNetns: string
  readonly serverNetns: string
  readonly serverAddress: string
  /** Where the server is when its address and port are translated on the way. */
  readonly translated?: {
    readonly port: number
    readonly bindAddress: string
    readonly bindPort: number
  }
}

const run = promisify(execFile)
const root = fileURLToPath(new URL('..', import.meta.url))

export async function buildTraffic(): Promise<void> {
  await run(`${root}bench/traffic/build`)
}

/** One measurement of `seconds`; throws with the generator's own words when nothing passes. */
export function measureTraffic(
  metric: TrafficMetric,
  ends: TrafficEnds,
  seconds: number,
): Promise<number> {
  return generate(TRAFFIC[metric].argv, ends, seconds)
}

/** How many of a thousand packets a second are lost during `seconds`. */
export function measureLoss(ends: TrafficEnds, seconds: number): Promise<number> {
  return generate(['loss'], ends, seconds)
}

async function generate(
  argv: readonly string[],
  ends: TrafficEnds,
  seconds: number,
): Promise<number> {
  const { translated } = ends
  const { stdout } = await run(`${root}build/bench/traffic`, [
    ...argv,
    ...['--client-netns', ends.clientNetns],
    ...['--server-netns', ends.serverNetns],
    ...['--server-address', ends.serverAddress],
    ...(translated === undefined
      ? []
      : [
          ...['--port', String(translated.port), '--bind-address', translated.bindAddress],
          ...['--bind-port', String(translated.bindPort)],
        ]),
    ...['--seconds', String(seconds)],
  ])
  const result: unknown = JSON.parse(stdout)
  if (typeof result !== 'object' || result === null || !('value' in result)) {
    throw new Error(`Cannot read what the traffic generator says: ${stdout}`)
  }
  return Number(result.value)
}
