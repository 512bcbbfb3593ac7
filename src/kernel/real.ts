/**
 * The real kernel. One instance belongs to the thread that made it: it remembers that thread's namespace
 * as home, and enters others only for the length of one call.
 */
import type { Kernel, Netns } from './kernel.ts'
import { RECEIVE_BYTES } from './netlink/socket.ts'
import { copyNetns, createNetns, inside, openHome, openNetns, removeNetns } from './netns.ts'
import { RealView } from './view.ts'

/** Opens the kernel for the calling thread, in the namespace it is in now. */
export function openKernel(): Kernel {
  const home = openHome()
  const buffer = new Uint8Array(RECEIVE_BYTES)
  const own = new RealView((work) => work(), buffer)
  /** The open handles, and the views of those that were looked into; a closed one's number may be another file. */
  const views = new Map<Netns, RealView | undefined>()

  const viewOf = (netns: Netns) => {
    if (!views.has(netns)) throw new Error('a namespace handle was used after it was closed')
    const view = views.get(netns) ?? new RealView((work) => inside(netns.fd, home.fd, work), buffer)
    views.set(netns, view)
    return view
  }

  /** The handle, with a view whose sockets are closed along with it. */
  const owned = (netns: Netns): Netns => {
    const close = () => {
      const view = views.get(handle)
      if (!views.delete(handle)) return
      view?.[Symbol.dispose]()
      netns.close()
    }
    const handle = { fd: netns.fd, inode: netns.inode, close, [Symbol.dispose]: close }
    views.set(handle, undefined)
    return handle
  }

  return {
    links: own.links,
    addresses: own.addresses,
    routes: own.routes,
    rules: own.rules,
    neighbours: own.neighbours,
    qdiscs: own.qdiscs,
    shapers: own.shapers,
    filters: own.filters,
    nft: own.nft,
    sysctl: own.sysctl,
    ports: own.ports,
    offloads: own.offloads,
    conntrack: own.conntrack,
    batch: (work) => own.batch(work),
    watch: (groups, signal) => own.watch(groups, signal),
    tooBigHints: () => own.tooBigHints(),
    openNetns: (target) => owned(openNetns(target)),
    copyNetns: (fd) => owned(copyNetns(fd)),
    createNetns: (path) => owned(createNetns(path, home.fd)),
    removeNetns,
    inNetns: (netns, work) => work(viewOf(netns)),
    [Symbol.dispose]() {
      for (const netns of [...views.keys()]) netns.close()
      own[Symbol.dispose]()
      home.close()
    },
  }
}
