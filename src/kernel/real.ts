/**
 * The real kernel. One instance belongs to the thread that made it: it remembers that thread's namespace
 * as home, and enters others only for the length of one call.
 */
import type { Kernel, Netns } from './kernel.ts'
import { createNetns, inside, openHome, openNetns, removeNetns } from './netns.ts'
import { RealView } from './view.ts'

/** Opens the kernel for the calling thread, in the namespace it is in now. */
export function openKernel(): Kernel {
  const home = openHome()
  const own = new RealView((work) => work())
  const views = new Map<number, RealView>()

  const viewOf = (netns: Netns) => {
    const known = views.get(netns.fd)
    if (known !== undefined) return known
    const view = new RealView((work) => inside(netns.fd, home.fd, work))
    views.set(netns.fd, view)
    return view
  }

  /** The handle, whose view's sockets are closed along with it. */
  const owned = (netns: Netns): Netns => {
    let open = true
    const close = () => {
      if (!open) return
      open = false
      views.get(netns.fd)?.[Symbol.dispose]()
      views.delete(netns.fd)
      netns.close()
    }
    return { fd: netns.fd, inode: netns.inode, close, [Symbol.dispose]: close }
  }

  return {
    links: own.links,
    addresses: own.addresses,
    routes: own.routes,
    rules: own.rules,
    neighbours: own.neighbours,
    qdiscs: own.qdiscs,
    filters: own.filters,
    nft: own.nft,
    sysctl: own.sysctl,
    batch: (work) => own.batch(work),
    watch: (groups, signal) => own.watch(groups, signal),
    openNetns: (target) => owned(openNetns(target)),
    createNetns: (path) => owned(createNetns(path, home.fd)),
    removeNetns,
    inNetns: (netns, work) => work(viewOf(netns)),
    [Symbol.dispose]() {
      for (const view of views.values()) view[Symbol.dispose]()
      views.clear()
      own[Symbol.dispose]()
      home.close()
    },
  }
}
