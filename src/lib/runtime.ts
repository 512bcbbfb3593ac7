/**
 * How the runtime uses memory, which it reads from its environment and only when it begins. Left to itself
 * its collector lets garbage grow with the memory of the machine, to twice what is alive; a daemon that
 * lives beside everybody's containers has reason to be modest.
 */

/** The collector counts with a machine of this size. */
const MACHINE_BYTES = 128_000_000

/** By name in the environment; whoever starts the daemon may say otherwise. */
const SETTINGS = { BUN_JSC_forceRAMSize: `${MACHINE_BYTES}` } as const

/** Begins the program again in the same process, once, so that the runtime is modest. Nothing may be open yet. */
export function beginModestly(): void {
  const compiled = import.meta.url.startsWith('file:///$bunfs/')
  const missing = Object.entries(SETTINGS).filter(([name]) => process.env[name] === undefined)
  if (!compiled || missing.length === 0) return
  process.execve?.(process.execPath, [process.argv0, ...process.argv.slice(2)], {
    ...process.env,
    ...Object.fromEntries(missing),
  })
}
