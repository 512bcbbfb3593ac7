/**
 * Published ports for the host's own loopback clients (R16): entries of the hooks' map, and the hooks
 * themselves. Nothing is loaded as long as there is no such port.
 */

import * as maps from '../../hoststate/hook-maps.ts'
import type { LoopbackPort, SocketHooks } from '../../hoststate/ports.ts'
import type { Hooks } from '../hooks.ts'
import type { Resource } from '../resource.ts'
import { mapResource } from './map-table.ts'

export function loopbackPorts(hooks: Hooks): Resource<LoopbackPort> {
  let opened: ReturnType<typeof open> | undefined
  const table = (): ReturnType<typeof open> => {
    opened ??= open(hooks)
    return opened
  }
  return {
    kind: 'loopback-port',
    // What the table listed it takes back.
    equal: (want, have) => table().equal(want, have as never),
    list: (wanted, whole) =>
      wanted.length > 0 || hooks.present ? table().list(wanted, whole) : [],
    put: (want) => table().put(want),
    putMany: (wants) => table().putMany?.(wants),
    remove: (have) => table().remove(have as never),
  }
}

function open(hooks: Hooks) {
  return mapResource<LoopbackPort, maps.LoopbackPortEntry>({
    kind: 'loopback-port',
    layout: maps.loopbackPorts,
    map: hooks.map(maps.loopbackPorts),
    entryOf: ({ kind: _, address, ...rest }) => ({ ...rest, address }),
    wantedOf: ({ address, ...rest }) => ({
      kind: 'loopback-port',
      ...rest,
      ...(address === undefined ? {} : { address }),
    }),
  })
}

interface Have extends SocketHooks {
  readonly sound: boolean
}

export function socketHooks(hooks: Hooks): Resource<SocketHooks, Have> {
  return {
    kind: 'socket-hooks',
    equal: (_want, have) => have.sound,
    list: (wanted) =>
      hooks.attached() ? [{ kind: 'socket-hooks', sound: wanted.length > 0 && hooks.sound() }] : [],
    put: () => hooks.attach(),
    remove: () => hooks.detach(),
  }
}
