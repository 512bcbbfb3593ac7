/** Waits for the rest of the machine to be idle, as far as that can be had in bounded time. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

const SAMPLE_MS = 100
const QUIET_SHARE = 0.08

/** Returns as soon as one sample shows less than 8 % of all processors busy, or after `patienceMs`. */
export async function waitUntilQuiet(patienceMs: number): Promise<void> {
  const deadline = Date.now() + patienceMs
  do {
    const before = processorTicks()
    await sleep(SAMPLE_MS)
    const after = processorTicks()
    const all = after.all - before.all
    if (all > 0 && 1 - (after.idle - before.idle) / all < QUIET_SHARE) return
  } while (Date.now() < deadline)
}

/** Counts from here on: per cent of the processor time wanted that went to others beside this virtual machine. */
export function countStolen(): () => number {
  const before = processorTicks()
  return () => {
    const after = processorTicks()
    const wanted = after.all - after.idle - (before.all - before.idle)
    return wanted > 0 ? (100 * (after.stolen - before.stolen)) / wanted : 0
  }
}

interface Ticks {
  readonly all: number
  readonly idle: number
  readonly stolen: number
}

/** First line of /proc/stat: user nice system idle iowait irq softirq steal, in ticks of all processors. */
function processorTicks(): Ticks {
  const ticks = /^cpu\s+(.*)$/m
    .exec(readFileSync('/proc/stat', 'utf8'))?.[1]
    ?.split(' ')
    .map(Number)
  const [, , , idle = 0, iowait = 0, , , stolen = 0] = ticks ?? []
  const all = (ticks ?? []).slice(0, 8).reduce((sum, part) => sum + part, 0)
  return { all, idle: idle + iowait, stolen }
}
