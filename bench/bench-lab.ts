/** A lab for the time of one suite, gone afterwards: also after a failure and after Ctrl-C. */
import { createLab, type Lab, removeLab } from '../src/lab/lab.ts'

/** Names of those that are up or being made: a suite may need several. */
const open = new Set<string>()

/** Two hosts on one bare veth pair, which is the wire that every path between hosts is compared with. */
export async function withBenchLab<T>(suite: string, work: (lab: Lab) => Promise<T>): Promise<T> {
  const name = `bench-${suite}-${process.pid}`
  if (open.size === 0) process.once('SIGINT', removeAll).once('SIGTERM', removeAll)
  open.add(name)
  try {
    await using lab = await createLab({ name, hosts: 2, topology: 'pair' })
    return await work(lab)
  } finally {
    open.delete(name)
    if (open.size === 0) process.off('SIGINT', removeAll).off('SIGTERM', removeAll)
  }
}

/** The process ends once each is gone, or could not be removed. */
async function removeAll(signal: NodeJS.Signals): Promise<void> {
  const removals = await Promise.allSettled([...open].map(removeLab))
  const failures = removals.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []))
  for (const error of failures) console.error(error)
  if (failures.length > 0) process.exit(1)
  process.exit(signal === 'SIGINT' ? 130 : 143)
}
