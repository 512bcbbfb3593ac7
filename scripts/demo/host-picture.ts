/** What one host's kernel holds of ours, one line a thing: to see that a restart changes none of it. */

import { openKernel } from '../../src/kernel/real.ts'
import type { Lab } from '../../src/lab/lab.ts'

export function hostPicture(lab: Lab, host: string): ReadonlySet<string> {
  using kernel = openKernel()
  using netns = kernel.openNetns(lab.netns(host))
  return kernel.inNetns(
    netns,
    (inside) =>
      new Set([
        ...inside.links
          .list()
          .map(
            ({ index, name, mac, mtuBytes, up }) =>
              `link ${index} ${name} ${mac} ${mtuBytes} ${up}`,
          ),
        ...inside.addresses
          .list()
          .map(
            ({ device, address, prefixLength }) =>
              `address ${address}/${prefixLength} on ${device}`,
          ),
        ...inside.routes.list().map(({ destination, device, gateway, table }) => {
          return `route ${destination} ${device} ${gateway} ${table}`
        }),
      ]),
  )
}
