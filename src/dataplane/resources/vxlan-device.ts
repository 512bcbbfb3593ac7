/**
 * The collect-metadata vxlan device: it registers the GRO parser on our port, decapsulates what the program
 * leaves to it and encapsulates what the program cannot. It carries no address; programs deliver.
 */

import { FABRIC_MAC, MARK, type VxlanDevice } from '../../hoststate/state.ts'
import type { Kernel, Link } from '../../kernel/kernel.ts'
import { NetworkError } from '../../lib/errors.ts'
import type { DeviceIndexes } from '../context.ts'
import type { Resource } from '../resource.ts'

/** The largest that a vxlan device takes: the program has checked the path's MTU before. */
const MTU_BYTES = 65_485

interface Have extends VxlanDevice {
  readonly sound: boolean
}

export function vxlanDevices(kernel: Kernel, devices: DeviceIndexes): Resource<VxlanDevice, Have> {
  return {
    kind: 'vxlan-device',
    equal: (want, have) => have.port === want.port && have.sound,
    list: () =>
      kernel.links.list({ kind: 'vxlan', group: MARK.fabricGroup }).map(
        (link): Have => ({
          kind: 'vxlan-device',
          name: link.name,
          port: link.vxlan?.port ?? 0,
          sound: isSound(link),
        }),
      ),
    put(want) {
      const link = kernel.links.get(want.name)
      if (link !== undefined && (link.kind !== 'vxlan' || link.vxlan?.port !== want.port)) {
        if (link.group !== MARK.fabricGroup) {
          throw new NetworkError(
            'conflict',
            `Cannot create device ${want.name}: a device of that name exists and is not ours`,
            { details: { device: want.name } },
          )
        }
        kernel.links.remove(want.name)
      } else if (link !== undefined) {
        kernel.links.set(link.index, { up: true, mtuBytes: MTU_BYTES, mac: FABRIC_MAC })
        devices.set(want.name, link.index)
        return
      }
      const created = kernel.links.createVxlan({
        name: want.name,
        port: want.port,
        collectMetadata: true,
        learning: false,
        udpZeroCsum6Rx: true,
        udpZeroCsum6Tx: true,
        mac: FABRIC_MAC,
        mtuBytes: MTU_BYTES,
        group: MARK.fabricGroup,
        alias: 'carrick: vxlan slow path',
        addrGenMode: 'none',
      })
      kernel.links.set(created.index, { up: true })
      devices.set(want.name, created.index)
    },
    remove(have) {
      kernel.links.remove(have.name)
      devices.forget(have.name)
    },
  }
}

function isSound(link: Link): boolean {
  return link.up && link.mac === FABRIC_MAC && link.vxlan?.collectMetadata === true
}
