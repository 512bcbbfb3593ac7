/**
 * The device with the resolver's addresses: an end of an idle pair, since no other kind of device can be
 * relied on. The addresses are for packets that are led there and never a source of anything else.
 */

import type { ResolverDevice } from '../../hoststate/ruleset.ts'
import { MARK } from '../../hoststate/state.ts'
import type { Link } from '../../kernel/kernel.ts'
import { NetworkError } from '../../lib/errors.ts'
import { bitsOf, familyOf, type IP, parseIP } from '../../net/ip.ts'
import type { Context } from '../context.ts'
import type { Resource } from '../resource.ts'

interface Have extends ResolverDevice {
  readonly sound: boolean
}

export function resolverDevices({ kernel, devices }: Context): Resource<ResolverDevice, Have> {
  return {
    kind: 'resolver-device',
    equal: (want, have) =>
      have.sound &&
      have.peer === want.peer &&
      new Set(have.addresses).symmetricDifference(new Set(want.addresses)).size === 0,
    list() {
      const link = kernel.links.get(MARK.resolverDevice)
      return link?.group === MARK.fabricGroup ? [haveOf(link)] : []
    },
    put(want) {
      const link = standing(want) ?? create(want)
      devices.set(want.device, link.index)
      for (const name of [want.device, want.peer]) {
        const path = ['net', 'ipv6', 'conf', name, 'disable_ipv6']
        const off = name === want.peer ? '1' : '0'
        if ((kernel.sysctl.read(path) ?? off) !== off) kernel.sysctl.write(path, off)
        kernel.links.set(name, { up: true })
      }
      for (const address of want.addresses) {
        kernel.addresses.put({ device: link.index, ...alone(address) })
      }
      for (const old of addressesOf(link.index)) {
        const ip = parseIP(old.address)
        if (ip === undefined || !want.addresses.includes(ip)) kernel.addresses.remove(old)
      }
    },
    remove(have) {
      devices.forget(have.device)
      if (kernel.links.get(have.device)?.group === MARK.fabricGroup)
        kernel.links.remove(have.device)
    },
  }

  /** The pair, if both ends are as they were made; a half of one goes. */
  function standing({ device, peer }: ResolverDevice): Link | undefined {
    const link = kernel.links.get(device)
    if (link === undefined) return undefined
    if (link.group !== MARK.fabricGroup) {
      throw new NetworkError(
        'conflict',
        `Cannot create device ${device}: a device of that name exists and is not ours`,
        { details: { device } },
      )
    }
    if (peerOf(link)?.name === peer) return link
    kernel.links.remove(device)
    return undefined
  }

  function create({ device, peer }: ResolverDevice): Link {
    return kernel.links.createVeth({
      name: device,
      group: MARK.fabricGroup,
      alias: 'carrick: resolver of names',
      addrGenMode: 'none',
      arp: false,
      peer: { name: peer, group: MARK.fabricGroup },
    })
  }

  function peerOf({ peer }: Link): Link | undefined {
    return peer === undefined ? undefined : kernel.links.get(peer)
  }

  function addressesOf(device: number) {
    return kernel.addresses.list({ device }).filter(({ scope }) => scope !== 'link')
  }

  function haveOf(link: Link): Have {
    const peer = peerOf(link)
    return {
      kind: 'resolver-device',
      device: link.name,
      peer: peer?.name ?? '',
      addresses: addressesOf(link.index).flatMap(({ address }) => parseIP(address) ?? []),
      sound: link.up && peer?.up === true,
    }
  }
}

/** Of the host's own scope, where there is one, no packet for elsewhere gets it for a source. */
function alone(address: IP) {
  const family = familyOf(address)
  const scope = family === 4 ? ({ scope: 'host' } as const) : {}
  return { address, prefixLength: bitsOf(family), noDad: true, noPrefixRoute: true, ...scope }
}
