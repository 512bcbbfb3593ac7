/**
 * An IPv6 address is told to stand before anybody is heard by it: the kernel makes its local route in work of
 * its own, a moment later (net/ipv6/addrconf.c, addrconf_dad_work). Until then its packets are lost.
 */

import type { Routes } from '../../kernel/kernel.ts'
import { NetworkError } from '../../lib/errors.ts'
import { familyOf, type IP } from '../../net/ip.ts'

const PATIENCE_MS = 5_000
const PAUSE_MS = 0.2

/**
 * Returns when packets for all these addresses of the namespace are taken; usually they are. Blocks its
 * thread, so that the kernel has the processor. Throws `timeout` after five seconds.
 */
export function untilHeard(
  { routes }: { readonly routes: Pick<Routes, 'isLocal'> },
  addresses: readonly IP[],
): void {
  const endMs = performance.now() + PATIENCE_MS
  for (const address of addresses) {
    if (familyOf(address) === 4) continue
    while (!routes.isLocal(address)) {
      if (performance.now() > endMs) {
        throw new NetworkError(
          'timeout',
          `Cannot use ${address}: the kernel has not made its route within ${PATIENCE_MS} ms`,
          { details: { address } },
        )
      }
      pause()
    }
  }
}

function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS)
}
