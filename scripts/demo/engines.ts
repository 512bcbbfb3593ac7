/** What demos with real engines have in common: a lab of two hosts that is gone afterwards, whatever happens. */

import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { createLab, type Lab } from '../../src/lab/lab.ts'
import { messageOf } from '../../src/lib/errors.ts'
import { pictureOfMachine, takeDown } from './leftovers.ts'
import { Story } from './story.ts'

const ROOT = dirname(dirname(import.meta.dirname))
/** The program that is shown. */
export const EXECUTABLE = process.env['CARRICK_EXECUTABLE'] ?? join(ROOT, 'build', 'carrick')

/** Facts that every demo tells. */
export interface CommonFacts {
  ok: boolean
  leftovers: readonly string[]
  problems: string[]
}

export interface DemoOptions<F extends CommonFacts> {
  /** One object on standard output instead of the story. */
  readonly json: boolean
  /** Why engines cannot be started here. */
  readonly problem: string | undefined
  readonly facts: F
  readonly isFine: (facts: F) => boolean
}

class Stopped extends Error {}

/** Tells the story in a lab, cleans up and ends the process. */
export async function runDemo<F extends CommonFacts>(
  { json, problem, facts, isFine }: DemoOptions<F>,
  tell: (lab: Lab, story: Story) => Promise<void>,
): Promise<never> {
  const story = new Story(json)
  const name = `demo-${process.pid}`
  const obstacle =
    process.getuid?.() === 0
      ? problem
      : 'the demo makes network namespaces and starts engines: run it as root'
  if (obstacle !== undefined) {
    story.fail(obstacle)
    process.exit(5)
  }
  build(story)
  const before = pictureOfMachine()
  const stopped = Promise.withResolvers<never>()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => stopped.reject(new Stopped(signal)))
  }
  let exitCode: number | undefined
  try {
    const told = createLab({ name, hosts: 2 }).then((lab) => tell(lab, story))
    await Promise.race([stopped.promise, told])
  } catch (error) {
    if (error instanceof Stopped) exitCode = 130
    facts.problems.push(messageOf(error))
    story.fail(messageOf(error))
  }
  facts.leftovers = await takeDown(name, before, story)
  facts.ok = exitCode === undefined && isFine(facts)
  if (json) process.stdout.write(`${JSON.stringify(facts)}\n`)
  process.exit(exitCode ?? (facts.ok ? 0 : 1))
}

function build(story: Story): void {
  if (process.env['CARRICK_EXECUTABLE'] !== undefined) return
  story.say('building the executable')
  const { status } = spawnSync(process.execPath, [join(ROOT, 'scripts', 'build.ts')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (status !== 0) process.exit(1)
}
