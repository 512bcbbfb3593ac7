/** Hooks and filters of the fake kernel. A shared block lives while a device is in it. */

import { putFilter } from '../rtnetlink/filters.ts'
import { putShaper } from '../rtnetlink/shapers.ts'
import type { Clsact, Filters, Qdiscs, Shapers } from '../traffic-control.ts'
import { refuse } from './calls.ts'
import { blockLives, type FakeNamespace, filterKey, forgetEmptyBlocks } from './state.ts'

export function fakeQdiscs(own: FakeNamespace): Qdiscs & { create: Qdiscs['put'] } {
  const remove = (device: number) => {
    own.qdiscs.delete(device)
    for (const [key, { place }] of own.filters) {
      if ('device' in place && place.device === device) own.filters.delete(key)
    }
    forgetEmptyBlocks(own)
  }
  const create: Qdiscs['put'] = ({ device, ingressBlock, egressBlock }) => {
    const operation = `put the clsact qdisc on device ${device}`
    if (!own.links.has(device)) refuse(operation, 'ENODEV', 'Cannot find device')
    if (own.qdiscs.has(device)) {
      refuse(operation, 'EEXIST', 'Exclusivity flag on, cannot modify')
    }
    own.qdiscs.set(device, { device, ingressBlock, egressBlock })
  }
  return {
    create,
    list: ({ device } = {}) =>
      [...own.qdiscs.values()].filter((each) => device === undefined || each.device === device),
    put(want) {
      const have = own.qdiscs.get(want.device)
      if (have !== undefined && equal(have, want)) return
      if (have !== undefined) remove(want.device)
      create(want)
    },
    remove: ({ device }) => remove(device),
  }
}

export function fakeShapers(own: FakeNamespace): Shapers {
  return {
    list: ({ handle, device }) =>
      [...own.shapers.values()].filter(
        (each) => each.handle === handle && (device === undefined || each.device === device),
      ),
    put(shaper) {
      const { operation } = putShaper(shaper)
      if (!own.links.has(shaper.device)) refuse(operation, 'ENODEV', 'Cannot find device')
      own.shapers.set(shaper.device, shaper)
    },
    remove({ device, handle }) {
      if (own.shapers.get(device)?.handle === handle) own.shapers.delete(device)
    },
  }
}

/** `program` tells the id and tag of a program by its descriptor. */
export function fakeFilters(
  own: FakeNamespace,
  program: (fd: number) => { readonly id: number; readonly tag: string },
): Filters {
  return {
    list: (place) => {
      const prefix = filterKey(place, 0, 0).replace(/ 0 0$/, ' ')
      return [...own.filters]
        .filter(([key]) => key.startsWith(prefix))
        .map(([, filter]) => filter)
        .sort((a, b) => a.priority - b.priority)
    },
    put(filter) {
      const { operation } = putFilter(filter)
      const { place, priority, handle, name, programFd } = filter
      if ('block' in place && !blockLives(own, place.block)) {
        refuse(operation, 'EINVAL', 'Block of given index was not found')
      }
      if ('device' in place && !own.qdiscs.has(place.device)) {
        refuse(operation, 'EINVAL', "Parent Qdisc doesn't exists")
      }
      const { id, tag } = program(programFd)
      own.filters.set(filterKey(place, priority, handle), {
        place,
        priority,
        handle,
        name,
        programId: id,
        programTag: tag,
      })
    },
    remove: ({ place, priority, handle }) => {
      own.filters.delete(filterKey(place, priority, handle))
    },
  }
}

function equal(have: Clsact, want: Parameters<Qdiscs['put']>[0]): boolean {
  return have.ingressBlock === want.ingressBlock && have.egressBlock === want.egressBlock
}
