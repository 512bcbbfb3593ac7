/**
 * The tc blocks that all endpoint devices, and all gateway devices, share. A block lives while a device is in
 * it, so the two ends of an idle pair of ours anchor one each: its filter then stands before the first other
 * device joins.
 */

import { type Block, MARK } from '../../hoststate/state.ts'
import type { Kernel, Link } from '../../kernel/kernel.ts'
import type { Resource } from '../resource.ts'

export function blocks(kernel: Kernel): Resource<Block> {
  const clsactOf = (device: number) =>
    kernel.qdiscs.list({ device }).find((each) => each.device === device)
  return {
    kind: 'block',
    equal: (want, have) =>
      want.block === have.block && want.anchor === have.anchor && want.direction === have.direction,
    *list() {
      for (const anchor of [MARK.anchorDevice, MARK.anchorPeer]) {
        const link = kernel.links.get(anchor)
        const clsact = link === undefined ? undefined : clsactOf(link.index)
        const { ingressBlock, egressBlock } = clsact ?? {}
        if (ingressBlock !== undefined) {
          yield { kind: 'block', block: ingressBlock, anchor, direction: 'ingress' }
        }
        if (egressBlock !== undefined) {
          yield { kind: 'block', block: egressBlock, anchor, direction: 'egress' }
        }
      }
    },
    put(want) {
      const { index } = kernel.links.get(want.anchor) ?? create(want.anchor)
      const clsact = clsactOf(index)
      const have = want.direction === 'ingress' ? clsact?.ingressBlock : clsact?.egressBlock
      if (have === want.block) return
      kernel.qdiscs.put({
        device: index,
        ...(want.direction === 'ingress'
          ? { ingressBlock: want.block }
          : { egressBlock: want.block }),
      })
    },
    remove: (have) => kernel.links.remove(have.anchor),
  }

  /** Makes the pair and gives the wanted end; whatever stands in the way of its other end goes. */
  function create(anchor: string): Link {
    for (const end of [MARK.anchorDevice, MARK.anchorPeer]) {
      if (kernel.links.get(end)?.group === MARK.fabricGroup) kernel.links.remove(end)
    }
    const made = kernel.links.createVeth({
      name: MARK.anchorDevice,
      group: MARK.fabricGroup,
      alias: 'carrick: anchors of the tc blocks',
      addrGenMode: 'none',
      peer: { name: MARK.anchorPeer, group: MARK.fabricGroup },
    })
    return anchor === made.name ? made : (kernel.links.get(anchor) ?? made)
  }
}
