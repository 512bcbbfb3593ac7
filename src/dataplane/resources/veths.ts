/**
 * The pair of an endpoint. The peer is born inside the container's namespace under its final name; the
 * host's end joins the block where the program already sits, and only then goes up. Removal puts the pair
 * aside: renamed, down, in the dying group, for the reaper to delete (R22).
 */

import { createHash } from 'node:crypto'
import { MARK, type Veth } from '../../hoststate/state.ts'
import type { Link } from '../../kernel/kernel.ts'
import { isNetworkError, NetworkError } from '../../lib/errors.ts'
import { parseMac } from '../../net/mac.ts'
import type { Context } from '../context.ts'
import type { Resource } from '../resource.ts'

interface Have extends Veth {
  readonly up: boolean
  readonly block: number | undefined
}

export function veths(context: Context, onDying: () => void): Resource<Veth, Have> {
  const { kernel, devices, sandboxes } = context

  const blockOf = (index: number): number | undefined =>
    kernel.qdiscs.list({ device: index }).find(({ device }) => device === index)?.ingressBlock

  return {
    kind: 'veth',
    equal: (want, have) =>
      have.up &&
      have.block === MARK.endpointBlock &&
      have.mac === want.mac &&
      have.mtuBytes === want.mtuBytes &&
      have.alias === want.alias,
    list() {
      devices.clear()
      const blocks = new Map(
        kernel.qdiscs.list().map(({ device, ingressBlock }) => [device, ingressBlock]),
      )
      return kernel.links.list({ group: MARK.endpointGroup }).map((link) => {
        devices.set(link.name, link.index)
        return haveOf(link, blocks.get(link.index))
      })
    },
    put(want) {
      devices.forget(want.name)
      const link = kernel.links.get(want.name) ?? create(want)
      devices.set(want.name, link.index)
      if (blockOf(link.index) !== MARK.endpointBlock) {
        kernel.qdiscs.put({ device: link.index, ingressBlock: MARK.endpointBlock })
      }
      kernel.links.set(link.index, {
        up: true,
        ...(link.group === MARK.endpointGroup ? {} : { group: MARK.endpointGroup }),
        ...(link.mac === want.mac ? {} : { mac: want.mac }),
        ...(link.mtuBytes === want.mtuBytes ? {} : { mtuBytes: want.mtuBytes }),
        ...(link.alias === want.alias ? {} : { alias: want.alias }),
      })
    },
    remove(have) {
      const link = kernel.links.get(have.name)
      devices.forget(have.name)
      if (link === undefined) return
      if ('sandbox' in have && have.sandbox.inode !== 0) freeName(have)
      kernel.links.set(link.index, { up: false })
      kernel.links.set(link.index, { name: dyingName(link), group: MARK.dyingGroup })
      onDying()
    },
  }

  function create(want: Veth): Link {
    using netns = sandboxes.open(want.sandbox)
    try {
      return kernel.links.createVeth({
        name: want.name,
        mac: want.mac,
        mtuBytes: want.mtuBytes,
        group: MARK.endpointGroup,
        alias: want.alias,
        addrGenMode: 'none',
        peer: { name: want.peer.name, mac: want.peer.mac, mtuBytes: want.mtuBytes, netns },
      })
    } catch (error) {
      if (!isNetworkError(error, 'kernel') || error.details['errno'] !== 'EEXIST') throw error
      throw new NetworkError(
        'conflict',
        `Cannot create interface ${want.peer.name} in ${want.sandbox.path}: it has one of that name already`,
        { details: { netns: want.sandbox.path, ifname: want.peer.name }, cause: error },
      )
    }
  }

  /** Takes the container's end out of the way, so that its name can be used again at once. */
  function freeName(have: Veth): void {
    try {
      using netns = sandboxes.open(have.sandbox)
      kernel.inNetns(netns, (inside) => {
        const link = inside.links.get(have.peer.name)
        if (link === undefined || link.mac !== have.peer.mac) return
        inside.links.set(link.index, { up: false })
        inside.links.set(link.index, { name: dyingName(link) })
      })
    } catch (error) {
      // The namespace is gone or was replaced, and the container's end with it.
      if (!isNetworkError(error, 'not-found')) throw error
    }
  }
}

function haveOf(link: Link, block: number | undefined): Have {
  const mac = link.mac === undefined ? undefined : parseMac(link.mac)
  if (mac === undefined) throw new Error(`device ${link.name} has no MAC address`)
  return {
    kind: 'veth',
    name: link.name,
    mac,
    mtuBytes: link.mtuBytes,
    alias: link.alias ?? '',
    // Where the peer lives and what it is called is not to be seen from this end.
    sandbox: { path: '', inode: 0 },
    peer: { name: '', mac },
    up: link.up,
    block,
  }
}

/** A name that no endpoint has: 15 bytes at most, unique while both ends live. */
function dyingName(link: Link): string {
  const hash = createHash('sha256').update(`${link.name} ${link.index}`).digest('hex')
  return `ckx${hash.slice(0, 11)}`
}
