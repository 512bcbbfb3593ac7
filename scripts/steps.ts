/**
 * Runs a list of commands one after the other, each with a time budget, and says at the end what each took and what
 * failed: a long run's log is often kept only in part, and then it is the end that is kept.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { constants } from 'node:os'
import { dirname } from 'node:path'
import { failuresIn } from './failures.ts'

export interface Step {
  readonly name: string
  readonly command: readonly string[]
  /** The step is ended and counts as failed after this many seconds. */
  readonly budgetSeconds: number
  /** Runs also when the others were interrupted: it clears away what they left. */
  readonly always?: true
}

/**
 * Runs all steps, also after a failure; ends the process with 1 when one failed. A signal ends the step under way and
 * leaves out the others, and the process ends as if by it.
 */
export async function runSteps(steps: readonly Step[]): Promise<never> {
  const results: (Result & { name: string; seconds: number; budgetSeconds: number })[] = []
  const interruption = new Interruption()
  for (const step of steps) {
    if (interruption.signal !== undefined && step.always !== true) continue
    console.log(`\n=== ${step.name}: ${step.command.join(' ')}`)
    const start = performance.now()
    const { ok, output } = await runStep(step, interruption)
    const seconds = (performance.now() - start) / 1000
    results.push({ name: step.name, ok, output, seconds, budgetSeconds: step.budgetSeconds })
  }
  for (const { name, ok, output } of results) {
    if (!ok) console.log(`\n=== what failed in ${name}\n${failuresIn(output)}`)
  }
  console.log('\nstep          result      took    budget')
  for (const { name, ok, seconds, budgetSeconds } of results) {
    const took = `${seconds.toFixed(1)} s`.padStart(9)
    console.log(
      `${name.padEnd(13)} ${(ok ? 'passed' : 'FAILED').padEnd(7)} ${took} ${budgetSeconds} s`,
    )
  }
  if (interruption.signal !== undefined) process.exit(128 + constants.signals[interruption.signal])
  const failed = results.filter(({ ok }) => !ok).length
  console.log(`\nsteps: ${results.length - failed} passed, ${failed} failed`)
  process.exit(failed === 0 ? 0 : 1)
}

/** The signal that somebody has sent, passed on to the step under way. */
class Interruption {
  signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP' | undefined
  child: ChildProcess | undefined

  constructor() {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        this.signal = signal
        this.child?.kill('SIGTERM')
      })
    }
  }
}

interface Result {
  readonly ok: boolean
  /** All that it printed, as it also went to the terminal. */
  readonly output: string
}

function runStep({ command, budgetSeconds }: Step, interruption: Interruption): Promise<Result> {
  const [file, ...args] = command
  if (file === undefined) throw new Error('a step has a command')
  return new Promise((resolve) => {
    const child = spawn(file, args, {
      cwd: dirname(import.meta.dirname),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    interruption.child = child
    let output = ''
    for (const [from, to] of [
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ] as const) {
      from.setEncoding('utf8').on('data', (text: string) => {
        output += text
        to.write(text)
      })
    }
    const timer = setTimeout(() => {
      console.log(`=== over its budget of ${budgetSeconds} s: stopping it`)
      child.kill('SIGTERM')
    }, budgetSeconds * 1000)
    const end = (ok: boolean): void => {
      clearTimeout(timer)
      resolve({ ok, output })
    }
    child.on('error', () => end(false))
    // What was printed last may come after the exit; a process that was left behind may hold the pipe open for ever.
    child.on('exit', (code) => setTimeout(() => end(code === 0), 1000).unref())
    child.on('close', (code) => end(code === 0))
  })
}
