/**
 * Namespaces held open while a request is under way: opened when the request comes, so that a path or pid
 * that is reused a moment later is not mistaken for the one that was meant.
 */

import type { Kernel, Netns } from '../kernel/kernel.ts'
import { NetworkError } from '../lib/errors.ts'

export class Sandboxes implements Disposable {
  readonly #kernel: Kernel
  readonly #held = new Map<number, { readonly netns: Netns; count: number }>()

  constructor(kernel: Kernel) {
    this.#kernel = kernel
  }

  /** Opens and keeps the namespace. `not-found` when it is gone, `invalid` when it is none. */
  hold(target: { readonly netns: string } | { readonly pid: number }): {
    readonly path: string
    readonly inode: number
  } {
    const path = 'netns' in target ? target.netns : `/proc/${target.pid}/ns/net`
    if (!path.startsWith('/')) {
      throw new NetworkError(
        'invalid',
        `Cannot use namespace "${path}": the path must begin with /`,
      )
    }
    const netns = this.#kernel.openNetns(path)
    const known = this.#held.get(netns.inode)
    if (known === undefined) {
      this.#held.set(netns.inode, { netns, count: 1 })
    } else {
      known.count++
      netns.close()
    }
    return { path, inode: netns.inode }
  }

  /** Lets go once as many times as it was held. */
  release(inode: number): void {
    const known = this.#held.get(inode)
    if (known === undefined || --known.count > 0) return
    this.#held.delete(inode)
    known.netns.close()
  }

  /** Inode and descriptor of everything held now. */
  list(): readonly (readonly [number, number])[] {
    return Array.from(this.#held, ([inode, { netns }]) => [inode, netns.fd] as const)
  }

  [Symbol.dispose](): void {
    for (const { netns } of this.#held.values()) netns.close()
    this.#held.clear()
  }
}
