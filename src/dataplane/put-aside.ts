/**
 * The slow half of a detach, in the reaper's thread: the container's end is taken down and renamed, so that
 * its name can be used again at once; then the pairs marked as dying are deleted, all in one message.
 */

import { createHash } from 'node:crypto'
import { MARK, type Veth } from '../hoststate/state.ts'
import type { Kernel, Link } from '../kernel/kernel.ts'
import { isNetworkError } from '../lib/errors.ts'

/** A pair marked as dying: where its other end is. Inode 0 when that is not known. */
export type Aside = Pick<Veth, 'sandbox' | 'peer'>

/** Takes the container's end out of the way; content when it or its namespace is gone. */
export function putAside(kernel: Kernel, { sandbox, peer }: Aside): void {
  if (sandbox.inode === 0) return
  try {
    using netns = kernel.openNetns(sandbox.path)
    if (netns.inode !== sandbox.inode) return
    kernel.inNetns(netns, (inside) => {
      const link = inside.links.get(peer.name)
      if (link === undefined || link.mac !== peer.mac) return
      inside.batch((batch) => {
        batch.links.set(link.index, { up: false })
        batch.links.set(link.index, { name: dyingName(link) })
      })
    })
  } catch (error) {
    if (!isNetworkError(error, 'not-found') && !isNetworkError(error, 'invalid')) throw error
  }
}

/** Deletes every pair marked as dying. Whether there is any is not asked: to list hundreds of links takes longer. */
export function reap(kernel: Kernel): void {
  kernel.links.removeGroup(MARK.dyingGroup)
}

/** A name that no endpoint has: 15 bytes at most, unique while both ends live. */
export function dyingName(link: Link): string {
  const hash = createHash('sha256').update(`${link.name} ${link.index}`).digest('hex')
  return `ckx${hash.slice(0, 11)}`
}
