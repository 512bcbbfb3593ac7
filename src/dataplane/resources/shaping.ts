/** The token buckets at the two ends of a pair. What else is put at the root of a device is not ours. */

import type { Shaping } from '../../hoststate/state.ts'
import { MARK } from '../../hoststate/state.ts'
import type { KernelView } from '../../kernel/kernel.ts'
import type { Shaper, Shapers } from '../../kernel/traffic-control.ts'

/** The bucket of a device, as the kernel is asked for it. */
export function shaperOf(device: number, shaping: Shaping): Shaper {
  return { device, handle: MARK.shaperHandle, ...shaping }
}

/** What shapes a device now; undefined when nothing of ours does. */
export function readShaping({ shapers }: KernelView, device: number): Shaping | undefined {
  const [found] = shapers.list({ device, handle: MARK.shaperHandle })
  return found && shapingOf(found)
}

/** What shapes each device, by its number. */
export function readAllShaping({ shapers }: KernelView): ReadonlyMap<number, Shaping> {
  const found = shapers.list({ handle: MARK.shaperHandle })
  return new Map(found.map((shaper) => [shaper.device, shapingOf(shaper)]))
}

/** Makes a device send as wanted: as fast as it can where nothing is. */
export function putShaping(
  { shapers }: { readonly shapers: Pick<Shapers, 'put' | 'remove'> },
  device: number,
  want: Shaping | undefined,
): void {
  if (want === undefined) shapers.remove({ device, handle: MARK.shaperHandle })
  else shapers.put(shaperOf(device, want))
}

/** The kernel keeps a burst as a time, and tells it a little off. */
export function sameShaping(want: Shaping | undefined, have: Shaping | undefined): boolean {
  if (want === undefined || have === undefined) return want === have
  const offBytes = Math.abs(want.burstBytes - have.burstBytes)
  return (
    want.bytesPerSecond === have.bytesPerSecond &&
    want.queueBytes === have.queueBytes &&
    offBytes <= 16 + want.burstBytes / 1000 + want.bytesPerSecond / 1e7
  )
}

function shapingOf({ bytesPerSecond, burstBytes, queueBytes }: Shaper): Shaping {
  return { bytesPerSecond, burstBytes, queueBytes }
}
