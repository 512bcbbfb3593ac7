/**
 * Forwarding, opened for packets into networks and for nothing else (R18). Where the host does not forward,
 * each device with an address is opened by itself and entered into a set of our table, by which packets from
 * it that do not go into a network are dropped as if it had never been opened. Where the host forwards by
 * somebody else's will, nothing is done. IPv6 has such a switch per device since Linux 6.17; before, only one
 * for all devices, which would stop them from hearing routers unless `accept_ra` is 2.
 */

import type { Forwarding } from '../../hoststate/gateway.ts'
import type { Link } from '../../kernel/kernel.ts'
import { type Family, familyOf, parseIP } from '../../net/ip.ts'
import type { Context } from '../context.ts'
import { isOurs } from '../facts.ts'
import { RememberedSettings } from '../remembered-settings.ts'
import type { Resource } from '../resource.ts'
import { elementCommands, listElementLines, quoted } from './table-elements.ts'

type Path = readonly string[]

interface Have extends Forwarding {
  /** True when nothing would be changed by putting it again. */
  readonly settled: boolean
}

/** What one look at the host says is to be done. */
interface Plan {
  readonly set: readonly (readonly [Path, string])[]
  readonly restore: readonly Path[]
  /** Settings of ours that became somebody else's. */
  readonly forget: readonly Path[]
  /** Elements of the sets of opened devices. */
  readonly lines: ReadonlySet<string>
}

const FAMILIES: readonly Family[] = [4, 6]
/** What tells that the whole host forwards. */
const SWITCH: Readonly<Record<Family, Path>> = {
  4: ['net', 'ipv4', 'ip_forward'],
  6: ['net', 'ipv6', 'conf', 'all', 'forwarding'],
}
const REFLECT: readonly Path[] = [
  ['net', 'ipv4', 'fwmark_reflect'],
  ['net', 'ipv6', 'fwmark_reflect'],
]

export function forwardings(context: Context): Resource<Forwarding, Have> {
  const { kernel } = context
  const { sysctl } = kernel
  const memory = new RememberedSettings(context.settingsFile, sysctl)

  const standingLines = (): ReadonlySet<string> =>
    new Set(listElementLines(kernel, ['opened4', 'opened6']))

  return {
    kind: 'forwarding',
    equal: (want, have) => {
      const plan = planFor(want)
      return (
        have.reflectMarks === want.reflectMarks &&
        plan.restore.length + plan.forget.length === 0 &&
        plan.set.every(([path, value]) => (sysctl.read(path) ?? value) === value) &&
        plan.lines.symmetricDifference(standingLines()).size === 0
      )
    },
    list() {
      if (memory.paths.length === 0 && standingLines().size === 0) return []
      const reflectMarks = REFLECT.some((path) => memory.has(path))
      return [{ kind: 'forwarding', families: [], reflectMarks, settled: false }]
    },
    put: (want) => carryOut(planFor(want)),
    remove: () => carryOut(planFor({ kind: 'forwarding', families: [], reflectMarks: false })),
  }

  /** The set first: what is opened before it is in the set is open to everybody. */
  function carryOut(plan: Plan): void {
    const standing = standingLines()
    const come = [...plan.lines].filter((line) => !standing.has(line))
    const gone = [...standing].filter((line) => !plan.lines.has(line))
    if (come.length > 0) kernel.nft.run(`${elementCommands([], come).join('\n')}\n`)
    for (const [path, value] of plan.set) memory.set(path, value)
    for (const path of plan.restore) memory.restore(path)
    for (const path of plan.forget) memory.forget(path)
    if (gone.length > 0) kernel.nft.run(`${elementCommands(gone, []).join('\n')}\n`)
  }

  function planFor(want: Forwarding): Plan {
    const parts = FAMILIES.map((family) =>
      want.families.includes(family) ? openPlan(family) : closePlan(family),
    )
    return {
      set: [
        ...parts.flatMap(({ set }) => set),
        ...(want.reflectMarks ? REFLECT.map((path) => [path, '1'] as const) : []),
      ],
      restore: [
        ...parts.flatMap(({ restore }) => restore),
        ...(want.reflectMarks ? [] : REFLECT.filter((path) => memory.has(path))),
      ],
      forget: parts.flatMap(({ forget }) => forget),
      lines: new Set(parts.flatMap(({ lines }) => [...lines])),
    }
  }

  function closePlan(family: Family): Plan {
    return { set: [], restore: oursOf(family), forget: [], lines: new Set() }
  }

  function openPlan(family: Family): Plan {
    const ours = oursOf(family)
    if (sysctl.read(SWITCH[family]) === '1' && !memory.has(SWITCH[family])) {
      return { set: [], restore: [], forget: ours, lines: new Set() }
    }
    const perDevice = family === 4 || sysctl.read(devicePath(6, 'lo')) !== undefined
    const opened = candidates(family, perDevice).filter(
      (name) => !perDevice || memory.has(devicePath(family, name)) || !forwards(family, name),
    )
    const lines = new Set(opened.map((name) => `opened${family} ${quoted(name)}`))
    if (!perDevice) return { set: wholeHost(opened), restore: [], forget: [], lines }
    const wanted = opened.map((name) => devicePath(family, name))
    const names = new Set(wanted.map((path) => path.join('/')))
    return {
      set: wanted.map((path) => [path, '1']),
      restore: ours.filter((path) => !names.has(path.join('/'))),
      forget: [],
      lines,
    }
  }

  /** IPv6 before 6.17: routers are still heard by those who heard them. */
  function wholeHost(devices: readonly string[]): Plan['set'] {
    const hears = devices
      .map((name) => ['net', 'ipv6', 'conf', name, 'accept_ra'])
      .filter((path) => sysctl.read(path) === '1' || memory.has(path))
    return [...hears.map((path) => [path, '2'] as const), [SWITCH[6], '1'] as const]
  }

  function forwards(family: Family, name: string): boolean {
    return sysctl.read(devicePath(family, name)) === '1'
  }

  function oursOf(family: Family): readonly Path[] {
    return memory.paths.filter((path) => path[1] === `ipv${family}` && path[2] === 'conf')
  }

  /** Devices by which packets for networks may come in: with an address, or all where there is one switch. */
  function candidates(family: Family, withAddress: boolean): readonly string[] {
    const addressed = new Set(
      kernel.addresses
        .list()
        .filter(({ address }) => familyOf(parseIP(address) ?? NOWHERE) === family)
        .map(({ device }) => device),
    )
    const isCandidate = (link: Link): boolean =>
      !link.loopback && !isOurs(link) && (!withAddress || addressed.has(link.index))
    return kernel.links
      .list()
      .filter(isCandidate)
      .map(({ name }) => name)
  }
}

const NOWHERE = unspecified()

function unspecified() {
  const ip = parseIP('0.0.0.0')
  if (ip === undefined) throw new Error('0.0.0.0 does not parse')
  return ip
}

function devicePath(family: Family, name: string): Path {
  return ['net', `ipv${family}`, 'conf', name, family === 4 ? 'forwarding' : 'force_forwarding']
}

/** Settings by whose change somebody else may have opened or closed the whole host. */
export const FORWARDING_SWITCHES: readonly Path[] = FAMILIES.map((family) => SWITCH[family])
