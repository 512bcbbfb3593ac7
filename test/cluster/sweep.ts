/** Takes down the labs of test runs that ended without doing so: stopped over their budget, or killed. */

import { listLabs, removeLab } from '../../src/lab/lab.ts'

for (const { name } of listLabs()) {
  const owner = /^ckt-(\d+)-/.exec(name)?.[1]
  if (owner === undefined || isAlive(Number(owner))) continue
  console.log(`lab ${name} was left behind`)
  await removeLab(name)
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}
