/** Offloads of the fake kernel: every device leaves its checksums to the hardware until told otherwise. */
import type { Offloads } from '../offloads.ts'
import { refuse } from './calls.ts'
import type { FakeNamespace } from './state.ts'

export function fakeOffloads(own: FakeNamespace): Offloads {
  const indexOf = (device: string): number => {
    const link = [...own.links.values()].find(({ name }) => name === device)
    return link?.index ?? refuse('ioctl', 'ENODEV')
  }
  return {
    checksumsSent: (device) => !own.summing.has(indexOf(device)),
    setChecksumsSent(device, on) {
      if (on) own.summing.delete(indexOf(device))
      else own.summing.add(indexOf(device))
    },
  }
}
