/**
 * The pair of an endpoint. The peer is born inside the container's namespace under its final name; the
 * host's end joins the block where the program already sits, and only then goes up. Removal marks the pair
 * as dying and leaves the rest to the reaper's thread: taking a device down waits for the kernel (R22).
 */

import { MARK, type Shaping, type Veth } from '../../hoststate/state.ts'
import type { KernelView, Link, NewVeth } from '../../kernel/kernel.ts'
import { isNetworkError, NetworkError } from '../../lib/errors.ts'
import { parseMac } from '../../net/mac.ts'
import type { Context } from '../context.ts'
import { type Aside, dyingName } from '../put-aside.ts'
import type { Resource } from '../resource.ts'
import { putShaping, readAllShaping, readShaping, sameShaping, shaperOf } from './shaping.ts'

/** The pair's end here, and whether it was made just now. */
interface Found {
  readonly link: Link
  readonly born: boolean
}

interface Have extends Veth {
  readonly up: boolean
  readonly block: number | undefined
}

/** `onDying` is told of every pair that was marked. */
export function veths(context: Context, onDying: (aside: Aside) => void): Resource<Veth, Have> {
  const { kernel, devices, sandboxes, enginePairs } = context

  return {
    kind: 'veth',
    equal: (want, have) =>
      have.up &&
      have.block === MARK.endpointBlock &&
      have.mac === want.mac &&
      (want.engine !== undefined || have.mtuBytes === want.mtuBytes) &&
      have.alias === want.alias &&
      sameShaping(want.shaping, have.shaping),
    list() {
      devices.clear()
      const blocks = new Map(
        kernel.qdiscs.list().map(({ device, ingressBlock }) => [device, ingressBlock]),
      )
      const shaping = readAllShaping(kernel)
      return kernel.links.list({ group: MARK.endpointGroup }).map((link) => {
        devices.set(link.name, link.index)
        return haveOf(link, blocks.get(link.index), shaping.get(link.index))
      })
    },
    put(want) {
      devices.forget(want.name)
      const { link, born } = want.engine === undefined ? find(want) : findForEngine(want)
      const { index, peer } = link
      devices.set(want.name, index)
      if (born) {
        if (peer !== undefined) devices.setPeer(want.name, peer)
        kernel.batch((batch) => {
          batch.links.set(index, { alias: want.alias, addrGenMode: 'none' })
          batch.qdiscs.put({ device: index, ingressBlock: MARK.endpointBlock })
          if (want.shaping !== undefined) batch.shapers.put(shaperOf(index, want.shaping))
          batch.links.set(index, { up: true })
        })
        return
      }
      if (blockOf(kernel, link.index) !== MARK.endpointBlock) {
        kernel.qdiscs.put({ device: link.index, ingressBlock: MARK.endpointBlock })
      }
      putShaping(kernel, link.index, want.shaping)
      // Where an engine has the other end, both keep the size they were made with.
      const resized = want.engine === undefined && link.mtuBytes !== want.mtuBytes
      if (resized && want.mtuBytes < link.mtuBytes) lowerInside(want)
      kernel.links.set(link.index, {
        up: true,
        ...(link.group === MARK.endpointGroup ? {} : { group: MARK.endpointGroup }),
        ...(link.mac === want.mac ? {} : { mac: want.mac }),
        ...(resized ? { mtuBytes: want.mtuBytes } : {}),
        ...(link.alias === want.alias ? {} : { alias: want.alias }),
        ...(link.addrGenMode === 'none' ? {} : { addrGenMode: 'none' }),
      })
    },
    remove(have) {
      devices.forget(have.name)
      try {
        kernel.links.set(have.name, { group: MARK.dyingGroup })
      } catch (error) {
        if (isNetworkError(error, 'kernel') && error.details['errno'] === 'ENODEV') return
        throw error
      }
      onDying({ sandbox: have.sandbox, peer: have.peer })
    },
  }

  /**
   * A veth drops what is larger than the other end's MTU: the container's end must not send it any more
   * before this end refuses it. Raised, this end comes first and the inside follows.
   */
  function lowerInside({ name, peer, sandbox, mtuBytes }: Veth): void {
    try {
      sandboxes.inside(sandbox, (inside) => {
        const link = inside.links.get(devices.peerOf(name) ?? peer.name)
        if (link?.mac === peer.mac) inside.links.set(link.index, { mtuBytes })
      })
    } catch (error) {
      // A namespace that is gone sends nothing; its interior tells what is wrong.
      if (!isNetworkError(error)) throw error
    }
  }

  /** The device of this name, unless it is one that was marked and not deleted yet. */
  function standing(name: string): Link | undefined {
    const link = kernel.links.get(name)
    if (link?.group !== MARK.dyingGroup) return link
    kernel.links.set(link.index, { up: false })
    kernel.links.set(link.index, { name: dyingName(link) })
    return undefined
  }

  /** A new pair; where one stands the kernel says so before it makes anything, and that one is told. */
  function find(want: Veth): Found {
    try {
      return { link: create(want), born: true }
    } catch (error) {
      if (!isNetworkError(error)) throw error
      const link = standing(want.name)
      if (link !== undefined) return { link, born: false }
      if (error.code !== 'conflict') throw error
      // One that was dying may have stood in the way; else it is something inside the namespace.
      return { link: create(want), born: true }
    }
  }

  function create(want: Veth): Link {
    return sandboxes.open(want.sandbox, (netns) => createPair(want, { netns }))
  }

  /** Both ends here, the engine's one ready to be taken. */
  function findForEngine(want: Veth): Found {
    const there = standing(want.name)
    if (there !== undefined) return { link: there, born: false }
    if (enginePairs.hasGone(want)) {
      throw new NetworkError(
        'not-found',
        `Cannot make ${want.name} again: it went with its container`,
      )
    }
    const link = createPair(want, { group: MARK.enginePeerGroup })
    if (want.engine?.softwareChecksums === true) {
      kernel.offloads.setChecksumsSent(want.peer.name, false)
    }
    enginePairs.made(want)
    return { link, born: true }
  }

  function createPair(want: Veth, place: Pick<NewVeth['peer'], 'netns' | 'group'>): Link {
    const { name, mac, mtuBytes, peer } = want
    try {
      return kernel.links.createVeth({
        ...{ name, mac, mtuBytes, group: MARK.endpointGroup },
        peer: { name: peer.name, mac: peer.mac, mtuBytes, ...place },
      })
    } catch (error) {
      if (!isNetworkError(error, 'kernel') || error.details['errno'] !== 'EEXIST') throw error
      throw new NetworkError(
        'conflict',
        `Cannot create interface ${peer.name} in ${place.netns === undefined ? 'this namespace' : want.sandbox.path}: it has one of that name already`,
        { details: { netns: want.sandbox.path, ifname: peer.name }, cause: error },
      )
    }
  }
}

/** True when the pair's end is as it should be, as far as a notice of it tells. */
export function isSound(want: Veth, link: Link | undefined): boolean {
  if (link?.up !== true || link.group !== MARK.endpointGroup) return false
  return want.engine !== undefined || link.mtuBytes === want.mtuBytes
}

/** True when packets pass the programs and the queue that they should at the pair's end with this number. */
export function isHooked(kernel: KernelView, { shaping }: Veth, index: number): boolean {
  if (blockOf(kernel, index) !== MARK.endpointBlock) return false
  return shaping === undefined || sameShaping(shaping, readShaping(kernel, index))
}

function blockOf({ qdiscs }: KernelView, index: number): number | undefined {
  return qdiscs.list({ device: index }).find(({ device }) => device === index)?.ingressBlock
}

function haveOf(link: Link, block: number | undefined, shaping: Shaping | undefined): Have {
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
    ...(shaping === undefined ? {} : { shaping }),
  }
}
