/**
 * Our programs: one in the endpoints' shared block, one in the gateways', one on every underlay device and one on
 * the vxlan device. Those on devices are held by links where the kernel has them, else by filters as in the blocks.
 * Either is replaced in one step, so that no packet passes without its program.
 */

import { MARK, type Program } from '../../hoststate/state.ts'
import type { TcxLink } from '../../kernel/bpf/tcx-link.ts'
import type { FilterPlace } from '../../kernel/traffic-control.ts'
import type { Context } from '../context.ts'
import type { Resource } from '../resource.ts'

const PROGRAMS = ['from_container', 'from_underlay', 'from_vxlan_device', 'to_network'] as const

interface Have extends Program {
  /** False for a program of an earlier run of the daemon, and for one that stands there twice. */
  readonly current: boolean
}

export function programs({
  kernel,
  datapath,
  devices,
  deviceLinks,
}: Context): Resource<Program, Have> {
  const placeOf = (at: Program['at']): FilterPlace =>
    'block' in at ? { block: at.block } : { device: devices.of(at.device), direction: 'ingress' }

  const haveOf = (at: Program['at'], id: number): Have => {
    const program = PROGRAMS.find((name) => datapath.programId(name) === id)
    return {
      kind: 'program',
      at,
      program: program ?? 'from_underlay',
      current: program !== undefined,
    }
  }

  const filtersAt = (at: Program['at'], place: FilterPlace): Have[] =>
    kernel.filters
      .list(place)
      .filter((filter) => filter.name === MARK.filterName)
      .map((filter) => haveOf(at, filter.programId))

  return {
    kind: 'program',
    equal: (want, have) => have.current && have.program === want.program,
    list(wanted) {
      const inBlocks = wanted.flatMap(({ at }) => ('block' in at ? filtersAt(at, placeOf(at)) : []))
      const clsacts = kernel.qdiscs.list().filter(({ ingressBlock }) => ingressBlock === undefined)
      const hooked = new Set(clsacts.map(({ device }) => device))
      const links = deviceLinks.list().filter(({ way }) => way === 'ingress')
      const linked = new Map(links.map((link) => [link.device, link]))
      const places = [...hooked.union(new Set(linked.keys()))]
      const onDevices = places.flatMap((device) =>
        onDevice(device, hooked.has(device), linked.get(device)),
      )
      return [...inBlocks, ...onDevices]
    },
    put(want) {
      const place = placeOf(want.at)
      if ('device' in place) {
        if (deviceLinks.put(place.device, 'ingress', want.program)) {
          removeFilter(place)
          return
        }
        if (!isHooked(place.device)) kernel.qdiscs.put({ device: place.device })
      }
      kernel.filters.put({
        place,
        priority: MARK.filterPriority,
        handle: MARK.filterHandle,
        name: MARK.filterName,
        programFd: datapath.programFd(want.program),
      })
    },
    remove(have) {
      if ('device' in have.at && kernel.links.get(have.at.device) === undefined) return
      const place = placeOf(have.at)
      if ('device' in place) deviceLinks.remove(place.device, 'ingress')
      removeFilter(place)
    },
  }

  function onDevice(device: number, hooked: boolean, link: TcxLink | undefined): readonly Have[] {
    const name = kernel.links.get(device)?.name
    if (name === undefined) return []
    const at = { device: name }
    const filters = hooked ? filtersAt(at, { device, direction: 'ingress' }) : []
    if (link === undefined) return filters
    const have = haveOf(at, link.programId)
    return [{ ...have, current: have.current && filters.length === 0 }]
  }

  /** A hook without filters is as good as none, whoever made it. */
  function removeFilter(place: FilterPlace): void {
    if ('device' in place && !isHooked(place.device)) return
    kernel.filters.remove({ place, priority: MARK.filterPriority, handle: MARK.filterHandle })
    if ('device' in place && isEmpty(place.device)) kernel.qdiscs.remove({ device: place.device })
  }

  function isHooked(device: number): boolean {
    return kernel.qdiscs.list({ device }).length > 0
  }

  function isEmpty(device: number): boolean {
    return (['ingress', 'egress'] as const).every(
      (direction) => kernel.filters.list({ device, direction }).length === 0,
    )
  }
}
