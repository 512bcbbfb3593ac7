/** A lab for the time of one suite, gone afterwards: also after a failure and after Ctrl-C. */
import { createLab, type Lab, removeLab } from '../src/lab/lab.ts'

/** Two hosts on one bare veth pair, which is the wire that every path between hosts is compared with. */
export async function withBenchLab<T>(suite: string, work: (lab: Lab) => Promise<T>): Promise<T> {
  const name = `bench-${suite}-${process.pid}`
  const stop = (signal: NodeJS.Signals) => {
    removeLab(name).then(
      () => process.exit(signal === 'SIGINT' ? 130 : 143),
      (error: unknown) => {
        console.error(error)
        process.exit(1)
      },
    )
  }
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  try {
    await using lab = await createLab({ name, hosts: 2, topology: 'pair' })
    return await work(lab)
  } finally {
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
  }
}
