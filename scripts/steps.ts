/** Runs a list of commands one after the other, each with a time budget, and says what each took. */

import { spawn } from 'node:child_process'
import { dirname } from 'node:path'

export interface Step {
  readonly name: string
  readonly command: readonly string[]
  /** The step is ended and counts as failed after this many seconds. */
  readonly budgetSeconds: number
}

/** Runs all steps, also after a failure; ends the process with 1 when one failed. */
export async function runSteps(steps: readonly Step[]): Promise<never> {
  const results: { name: string; ok: boolean; seconds: number; budgetSeconds: number }[] = []
  for (const step of steps) {
    console.log(`\n=== ${step.name}: ${step.command.join(' ')}`)
    const start = performance.now()
    const ok = await runStep(step)
    const seconds = (performance.now() - start) / 1000
    results.push({ name: step.name, ok, seconds, budgetSeconds: step.budgetSeconds })
  }
  console.log('\nstep          result      took    budget')
  for (const { name, ok, seconds, budgetSeconds } of results) {
    const took = `${seconds.toFixed(1)} s`.padStart(9)
    console.log(
      `${name.padEnd(13)} ${(ok ? 'passed' : 'FAILED').padEnd(7)} ${took} ${budgetSeconds} s`,
    )
  }
  const failed = results.filter(({ ok }) => !ok).length
  console.log(`\nsteps: ${results.length - failed} passed, ${failed} failed`)
  process.exit(failed === 0 ? 0 : 1)
}

function runStep({ command, budgetSeconds }: Step): Promise<boolean> {
  const [file, ...args] = command
  if (file === undefined) throw new Error('a step has a command')
  return new Promise((resolve) => {
    const child = spawn(file, args, {
      cwd: dirname(import.meta.dirname),
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    const timer = setTimeout(() => {
      console.log(`=== over its budget of ${budgetSeconds} s: stopping it`)
      child.kill('SIGTERM')
    }, budgetSeconds * 1000)
    const end = (ok: boolean): void => {
      clearTimeout(timer)
      resolve(ok)
    }
    child.on('error', () => end(false))
    child.on('exit', (code) => end(code === 0))
  })
}
