/** Debian's reference plug-ins, as lists for the script that drives them, and what one ADD of theirs takes. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { withBenchLab } from '../bench-lab.ts'
import { waitUntilQuiet } from '../quiet.ts'
import { baselineProblem, type Chain, runBaseline } from './baseline.ts'

const REFERENCE = '/usr/lib/cni'

/** What one ADD of `bridge` with `host-local` took, in milliseconds, on the machine that bounds in time are from. */
export const REFERENCE_ADD_MS = 8.8

/** Why they cannot be run here, or undefined when they can. */
export function referenceProblem(): string | undefined {
  const missing = ['bridge', 'host-local', 'portmap', 'firewall'].filter(
    (plugin) => !existsSync(join(REFERENCE, plugin)),
  )
  if (missing.length === 0) return baselineProblem()
  return `${missing.join(', ')} not found in ${REFERENCE}: apt-get install containernetworking-plugins`
}

/** A list of theirs that begins with `bridge` and `host-local`, on a host of its own. */
export function referenceChain(
  subject: string,
  directory: string,
  { ipMasq, behind = [] }: { readonly ipMasq: boolean; readonly behind?: readonly object[] },
): Chain {
  const bridge = {
    ...{ type: 'bridge', bridge: 'b0', isGateway: true, ipMasq },
    ipam: {
      ...{ type: 'host-local', dataDir: join(directory, 'host-local') },
      ...{ routes: [{ dst: '0.0.0.0/0' }], ranges: [[{ subnet: '10.232.0.0/16' }]] },
    },
  }
  const list = [bridge, ...behind]
  return { subject, host: 'h1', hostMode: 'new', plugins: REFERENCE, list }
}

/** Milliseconds of one ADD of `bridge` with `host-local`, median of `times`, on a machine where nothing else is. */
export async function measureReferenceAdd(times: number): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'carrick-bench-reference-'))
  try {
    return await withBenchLab('reference', async (lab) => {
      await waitUntilQuiet(6000)
      const chain = referenceChain('bridge', directory, { ipMasq: false })
      const { alone } = await runBaseline(lab, directory, chain, { times, together: 2 })
      return alone.add.median
    })
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
