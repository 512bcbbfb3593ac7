/** Looks into namespaces for those who compare what is there with what they were told. Changes nothing. */

import { statSync } from 'node:fs'
import type { Kernel, KernelView, Link } from '../kernel/kernel.ts'
import type { Endpoint } from '../model/endpoint.ts'
import { parseIP } from '../net/ip.ts'
import { parseMac } from '../net/mac.ts'
import { parsePrefix } from '../net/prefix.ts'

/** linux/rtnetlink.h RT_TABLE_LOCAL: addresses of the namespace itself, made by the kernel. */
const LOCAL_TABLE = 255

export class Inspector {
  readonly #kernel: Kernel
  readonly #own = statSync('/proc/self/ns/net')

  constructor(kernel: Kernel) {
    this.#kernel = kernel
  }

  /** Throws `not-found` when nothing is at the path, `invalid` when it is no network namespace. */
  inspect(path: string, ifname: string) {
    using netns = this.#kernel.openNetns(path)
    const link = this.#kernel.inNetns(netns, (inside) => {
      const found = inside.links.get(ifname)
      return found && viewOf(inside, found)
    })
    return { inode: netns.inode, link }
  }

  isOwn(path: string): boolean {
    return isAt(path, this.#own)
  }

  /** True when neither the namespace is at its path nor the pair's end on this host. */
  isLost({ sandbox, device }: Pick<Endpoint, 'sandbox' | 'device'>): boolean {
    const { dev } = this.#own
    if (isAt(sandbox.path, { dev, ino: sandbox.inode })) return false
    return this.#kernel.links.get(device) === undefined
  }
}

/** False also when nothing is at the path. */
function isAt(path: string, { dev, ino }: { readonly dev: number; readonly ino: number }): boolean {
  try {
    const there = statSync(path)
    return there.dev === dev && there.ino === ino
  } catch {
    return false // whatever keeps this process from the path keeps it from the namespace
  }
}

function viewOf(inside: KernelView, link: Link) {
  return {
    mac: link.mac === undefined ? undefined : parseMac(link.mac),
    mtuBytes: link.mtuBytes,
    up: link.up,
    addresses: inside.addresses.list({ device: link.index }).flatMap((found) => {
      const address = parseIP(found.address)
      return address === undefined ? [] : [{ address, length: found.prefixLength }]
    }),
    routes: inside.routes.list().flatMap((route) => {
      const to = parsePrefix(route.destination)
      const there = route.device === link.index && route.table !== LOCAL_TABLE
      if (to === undefined || !there) return []
      const via = route.gateway === undefined ? undefined : parseIP(route.gateway)
      return [{ to, via, table: route.table }]
    }),
  }
}
