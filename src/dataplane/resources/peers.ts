/**
 * Rows of the map `hosts`: what the plan knows of another host, completed by what only this kernel knows,
 * the device and next hop towards it and the MTU of the path, learned route exceptions included (R28, R32),
 * and never more than what probes found to pass. An audit asks the routes again, so that a row follows them.
 */

import { type HostEntry, hosts } from '../../hoststate/maps.ts'
import type { Peer } from '../../hoststate/state.ts'
import { NetworkError } from '../../lib/errors.ts'
import { parseIP } from '../../net/ip.ts'
import { type Mac, parseMac } from '../../net/mac.ts'
import type { Context } from '../context.ts'
import type { Resource } from '../resource.ts'

interface Have extends Peer {
  readonly row: Uint8Array
}

export function peers({ kernel, datapath }: Context): Resource<Peer, Have> {
  const map = datapath.map(hosts)
  /** Rows that may hold something; undefined until the whole array was read once. */
  let used: Set<number> | undefined
  /** MACs of underlay devices by index, asked for anew at every whole comparison. */
  const deviceMacs = new Map<number, Mac>()

  return {
    kind: 'peer',
    equal(want, have) {
      const entry = resolve(want)
      return entry !== undefined && Buffer.compare(hosts.valueOf(entry), have.row) === 0
    },
    *list(wanted, whole) {
      if (whole) deviceMacs.clear()
      if (used === undefined) {
        used = new Set()
        for (const { key, value } of map.entries()) {
          const entry = hosts.entryOf(key, value)
          if (entry !== undefined) used.add(entry.index)
        }
      }
      for (const { index } of wanted) used.add(index)
      for (const index of whole ? used : wanted.map((want) => want.index)) {
        const key = hosts.keyOf({ index } as HostEntry) // the key of a row is its index alone
        const row = map.lookup(key)
        const entry = row === undefined ? undefined : hosts.entryOf(key, row)
        if (entry === undefined || row === undefined) continue
        yield { ...peerOf(entry), row }
      }
    },
    put(want) {
      const entry = resolve(want)
      if (entry === undefined) {
        // Nothing passes to a host without a route: an empty row is a closed door.
        clear(want.index)
        throw new NetworkError(
          'unavailable',
          `Cannot reach host ${want.remote}: this host has no route to it`,
          { details: { address: want.remote } },
        )
      }
      used?.add(want.index)
      map.update(hosts.keyOf(entry), hosts.valueOf(entry))
    },
    remove(have) {
      clear(have.index)
      used?.delete(have.index)
    },
  }

  function macOf(device: number): Mac | undefined {
    const known = deviceMacs.get(device)
    if (known !== undefined) return known
    const text = kernel.links.get(device)?.mac
    const mac = text === undefined ? undefined : parseMac(text)
    if (mac !== undefined) deviceMacs.set(device, mac)
    return mac
  }

  function clear(index: number): void {
    const key = hosts.keyOf({ index } as HostEntry) // as above
    map.update(key, new Uint8Array(map.slotBytes))
  }

  function resolve(want: Peer): HostEntry | undefined {
    const route = kernel.routes.lookup(want.remote, { source: want.local })
    const deviceMac = route === undefined ? undefined : macOf(route.device)
    if (route === undefined || deviceMac === undefined) return undefined
    const nextHop =
      (route.gateway === undefined ? undefined : parseIP(route.gateway)) ?? want.remote
    const onLink = want.onLink && route.gateway === undefined
    return {
      index: want.index,
      address: want.remote,
      localAddress: want.local,
      ifindex: route.device,
      deviceMac,
      nextHop,
      nextHopMac: onLink ? want.mac : undefined,
      onLink,
      pathMtuBytes: Math.min(route.pathMtuBytes, want.mtuLimitBytes ?? route.pathMtuBytes),
      vxlanPort: want.vxlanPort,
    }
  }
}

function peerOf(entry: HostEntry): Peer {
  return {
    kind: 'peer',
    index: entry.index,
    remote: entry.address,
    local: entry.localAddress,
    vxlanPort: entry.vxlanPort,
    onLink: entry.onLink,
    ...(entry.nextHopMac === undefined ? {} : { mac: entry.nextHopMac }),
  }
}
