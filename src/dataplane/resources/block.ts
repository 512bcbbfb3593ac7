/**
 * The tc block that all endpoint devices share. A block lives while a device is in it, so an idle pair of
 * ours anchors it: its filter then stands before the first endpoint joins.
 */

import { type Block, MARK } from '../../hoststate/state.ts'
import type { Kernel } from '../../kernel/kernel.ts'
import type { Resource } from '../resource.ts'

export function blocks(kernel: Kernel): Resource<Block> {
  const blockOf = (device: number): number | undefined =>
    kernel.qdiscs.list({ device }).find((each) => each.device === device)?.ingressBlock
  return {
    kind: 'block',
    equal: (want, have) => want.block === have.block && want.anchor === have.anchor,
    list() {
      const link = kernel.links.get(MARK.anchorDevice)
      const block = link === undefined ? undefined : blockOf(link.index)
      if (link === undefined || block === undefined) return []
      return [{ kind: 'block', block, anchor: link.name }]
    },
    put(want) {
      const anchor =
        kernel.links.get(want.anchor) ??
        kernel.links.createVeth({
          name: want.anchor,
          group: MARK.fabricGroup,
          alias: 'carrick: anchor of the endpoints’ tc block',
          addrGenMode: 'none',
          peer: { name: `${want.anchor}p`, group: MARK.fabricGroup },
        })
      if (blockOf(anchor.index) !== want.block) {
        kernel.qdiscs.put({ device: anchor.index, ingressBlock: want.block })
      }
    },
    remove: (have) => kernel.links.remove(have.anchor),
  }
}
