/**
 * How the runtime uses memory, which it reads from its environment and only when it begins. Left to itself
 * its collector lets garbage grow with the memory of the machine, to twice what is alive; a daemon that
 * lives beside everybody's containers has reason to be modest.
 */

/** The collector counts with a machine of this size. */
const MACHINE_BYTES = 128_000_000

/** By name in the environment; whoever starts the daemon may say otherwise. */
const SETTINGS = {
  BUN_JSC_forceRAMSize: `${MACHINE_BYTES}`,
  // Else it collects every second, then twice a minute, whether or not there is anything.
  BUN_GC_TIMER_DISABLE: '1',
} as const

/** Becomes another program, which has what this one was handed by whoever started it. */
export type Execute = (
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
) => never

/**
 * Begins the program again in the same process, once, so that the runtime is modest. Nothing may be open yet. The
 * runtime's own execve() would close the sockets that a service manager has handed over.
 */
export function beginModestly(execute: Execute): void {
  const compiled = import.meta.url.startsWith('file:///$bunfs/')
  const missing = Object.entries(SETTINGS).filter(([name]) => process.env[name] === undefined)
  if (!compiled || missing.length === 0) return
  const env = { ...process.env, ...Object.fromEntries(missing) }
  execute(process.execPath, process.argv.slice(2), env)
}
