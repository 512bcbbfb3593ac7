/** A hundred pings a second between two containers, counted. */

import { once } from 'node:events'
import type { Lab } from '../../../src/lab/lab.ts'

/** Starts in the namespace of process `pid`; gives what came back when it is told to stop. */
export function startPinging(
  lab: Lab,
  host: string,
  pid: number,
  address: string,
): () => Promise<{ readonly sent: number; readonly lost: number }> {
  const container = { host, name: address, netns: '', pin: `/proc/${pid}/ns/net` }
  const child = lab.spawnIn(container, ['ping', '-n', '-q', '-i', '0.01', '-W', '1', address], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let text = ''
  child.stdout?.on('data', (part: Buffer) => {
    text += part.toString()
  })
  return async () => {
    const ended = once(child, 'close')
    child.kill('SIGINT')
    await ended
    const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(text) ?? []
    if (sent === undefined) throw new Error(`ping told nothing: ${text}`)
    return { sent: Number(sent), lost: Number(sent) - Number(received) }
  }
}
