/** What a process uses, as the kernel counts it. proc_pid_status(5), proc_pid_stat(5). */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

const TICKS_PER_SECOND = 100 // USER_HZ, fixed for all architectures we run on

/** Resident memory in 10^6 bytes, the pages of its executable included. */
export function residentMegabytes(pid: number): number {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  if (kibibytes === undefined) throw new Error(`Cannot read the memory of process ${pid}`)
  return (Number(kibibytes) * 1024) / 1e6
}

/** Processor time in per cent of one processor over the next `seconds`. */
export async function processorPercent(pid: number, seconds: number): Promise<number> {
  const before = processorTicks(pid)
  const began = performance.now()
  await sleep(seconds * 1000)
  const ticks = processorTicks(pid) - before
  return ((ticks / TICKS_PER_SECOND) * 100_000) / (performance.now() - began)
}

/** User and system time of all threads: fields 14 and 15, counted after the name, which may hold spaces. */
function processorTicks(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return Number(fields[11]) + Number(fields[12])
}
