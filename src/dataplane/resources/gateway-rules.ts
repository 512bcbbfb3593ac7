/**
 * What our table knows of one gateway: its addresses, its network's prefixes, and, for a network with an
 * index, the four chains by which its packets and connections are told from those of its doubles. Elements
 * are changed in one transaction, and none of another gateway is touched.
 */

import type { GatewayRules } from '../../hoststate/gateway.ts'
import { packetMarks } from '../../hoststate/marks.ts'
import { MARK } from '../../hoststate/state.ts'
import type { Kernel } from '../../kernel/kernel.ts'
import { isNetworkError } from '../../lib/errors.ts'
import { familyOf } from '../../net/ip.ts'
import { prefixFamily } from '../../net/prefix.ts'
import type { Resource } from '../resource.ts'
import { connectionMarkOf, indexChains, indexOfChain } from './index-chains.ts'
import type { MapName, SetName } from './ruleset-sets.ts'
import {
  type ElementLine,
  elementCommands,
  hexMark,
  listElementLines,
  quoted,
} from './table-elements.ts'

const NAMES: readonly (SetName | MapName)[] = [
  ...(['own4', 'own6', 'gateways4', 'gateways6', 'inside4', 'inside6'] as const),
  ...(['routed4', 'routed6', 'hairpin4', 'hairpin6', 'outputs', 'output_zones'] as const),
  ...(['resolvers4', 'resolvers6', 'internal', 'loopback'] as const),
  ...(['zones', 'sources', 'openers', 'answerers', 'taken'] as const),
]

interface Have extends GatewayRules {
  readonly lines: ReadonlySet<ElementLine>
  /** False when a chain of the index is missing or has another number of rules. */
  readonly complete: boolean
}

/** Under this name lines are listed that belong to no gateway. */
const NOBODY = 'leftover'

export function gatewayRules(kernel: Kernel): Resource<GatewayRules, Have> {
  /** What is believed to stand, by device: several gateways may have an address in common. */
  let standing = new Map<string, ReadonlySet<ElementLine>>()

  const change = (device: string, want: ReadonlySet<ElementLine>, before: string): void => {
    const have = standing.get(device) ?? new Set<ElementLine>()
    const others = new Set(
      [...standing].flatMap(([name, lines]) => (name === device ? [] : [...lines])),
    )
    const gone = [...have].filter((line) => !want.has(line) && !others.has(line))
    const come = [...want].filter((line) => !have.has(line))
    const commands = elementCommands(gone, come)
    if (before === '' && commands.length === 0) return
    kernel.nft.run(`${before}${commands.join('\n')}\n`)
    if (want.size === 0) standing.delete(device)
    else standing.set(device, want)
  }

  /** Chains of indexes that nobody has any more. */
  const strayChains = () => {
    const used = new Set([...standing.values()].flatMap((lines) => indexIn(lines) ?? []))
    return kernel.nft
      .chains()
      .filter(({ family, table }) => family === 'inet' && table === MARK.table)
      .filter(({ name }) => {
        const index = indexOfChain(name)
        return index !== undefined && !used.has(index)
      })
  }

  /** Those to which a published port still leads stay for now. */
  const removeStrayChains = (): void => {
    for (const { name } of strayChains()) {
      const chain = `chain inet ${MARK.table} ${name}`
      try {
        kernel.nft.run(`flush ${chain}\ndelete ${chain}\n`)
      } catch (error) {
        if (!isNetworkError(error, 'kernel')) throw error
      }
    }
  }

  /** Once more with what is really there, when what was believed to be there was not. */
  const changeSurely = (device: string, want: ReadonlySet<ElementLine>, before: string): void => {
    try {
      change(device, want, before)
    } catch (error) {
      if (!isNetworkError(error, 'kernel')) throw error
      standing = read()
      change(device, want, before)
    }
  }

  const read = (): Map<string, ReadonlySet<ElementLine>> =>
    byDevice(listElementLines(kernel, NAMES))

  const isComplete = ({ index, packetMarkMask }: GatewayRules): boolean =>
    chainsFor(index, packetMarkMask).every(
      ({ name, rules }) =>
        kernel.nft.rules({ family: 'inet', table: MARK.table, name }).length === rules.length,
    )

  return {
    kind: 'gateway-rules',
    equal: (want, have) => {
      const lines = linesOf(want)
      return have.complete && have.lines.size === lines.size && lines.isSubsetOf(have.lines)
    },
    list(wanted) {
      standing = read()
      const found = Array.from(standing, ([device, lines]): Have => {
        const want = wanted.find((each) => each.device === device)
        const complete = want === undefined || isComplete(want)
        return { ...(want ?? nothing(device)), lines, complete }
      })
      if (standing.has(NOBODY) || strayChains().length === 0) return found
      return [...found, { ...nothing(NOBODY), lines: new Set(), complete: true }]
    },
    put(want) {
      const chains = chainsFor(want.index, want.packetMarkMask)
      changeSurely(want.device, linesOf(want), chainCommands(chains))
      removeStrayChains()
    },
    remove({ device }) {
      changeSurely(device, new Set(), '')
      removeStrayChains()
    },
  }
}

/** The index of the gateway that these lines are of; undefined when it has none. */
function indexIn(lines: ReadonlySet<ElementLine>): number | undefined {
  for (const line of lines) {
    const index = /^outputs .* goto to_(\d+)$/.exec(line)?.[1]
    if (index !== undefined) return Number(index)
  }
  return undefined
}

function nothing(device: string): GatewayRules {
  const none = { addresses: [], hairpin: [], prefixes: [], routed: [] }
  return { kind: 'gateway-rules', device, index: 0, packetMarkMask: 0, ...none }
}

type Chains = ReturnType<typeof indexChains>

function chainsFor(index: number, packetMarkMask: number): Chains {
  return index === 0 ? [] : indexChains(index, packetMarkMask)
}

function chainCommands(chains: Chains): string {
  const place = `inet ${MARK.table}`
  const blocks = chains.map(({ name, rules }) => `chain ${name} {\n${rules.join('\n')}\n}\n`)
  return [
    ...chains.map(({ name }) => `add chain ${place} ${name}\nflush chain ${place} ${name}\n`),
    ...(blocks.length === 0 ? [] : [`table ${place} {\n${blocks.join('')}}\n`]),
  ].join('')
}

/** Every element that the gateway needs. */
function linesOf(want: GatewayRules): ReadonlySet<ElementLine> {
  const { index, packetMarkMask, addresses, hairpin, prefixes, routed, resolver } = want
  const device = quoted(want.device)
  const lines = [
    ...addresses.map((address) => `own${familyOf(address)} ${device} . ${address}`),
    ...addresses.map((address) => `gateways${familyOf(address)} ${address}`),
    ...hairpin.map((address) => `hairpin${familyOf(address)} ${device} : ${address}`),
    ...prefixes.map((prefix) => `inside${prefixFamily(prefix)} ${device} . ${prefix}`),
    ...routed.map((prefix) => `routed${prefixFamily(prefix)} ${device} . ${prefix}`),
    ...(resolver?.addresses ?? []).map(
      (address) => `resolvers${familyOf(address)} ${device} : ${address} . ${resolver?.port}`,
    ),
    ...(want.internal === true ? [`internal ${device}`] : []),
    ...(want.loopback === true ? [`loopback ${device}`] : []),
  ]
  if (index === 0) return new Set(lines)
  const packet = hexMark(packetMarks(packetMarkMask).ofIndex(index))
  const opener = hexMark(connectionMarkOf(index, 'opener'))
  const answerer = hexMark(connectionMarkOf(index, 'answerer'))
  return new Set([
    ...lines,
    `outputs ${device} : goto to_${index}`,
    `output_zones ${device} : goto zone_${index}`,
    `zones ${packet} : goto zone_${index}`,
    `sources ${packet} : goto from_${index}`,
    `openers ${opener} : goto route_${index}`,
    `answerers ${answerer} : goto route_${index}`,
    `taken ${answerer}`,
  ])
}

/** Whose each line is, as the lines themselves tell: by the device's name, its addresses, its index. */
function byDevice(lines: readonly ElementLine[]): Map<string, Set<ElementLine>> {
  const found = new Map<string, Set<ElementLine>>()
  const enter = (device: string, line: ElementLine): void => {
    const known = found.get(device)
    if (known === undefined) found.set(device, new Set([line]))
    else known.add(line)
  }
  const owners = new Map<string, string[]>()
  const own = (what: string, device: string): void => {
    owners.set(what, [...(owners.get(what) ?? []), device])
  }
  const unnamed: ElementLine[] = []
  for (const line of lines) {
    const device = /"([^"]+)"/.exec(line)?.[1]
    if (device === undefined) {
      unnamed.push(line)
      continue
    }
    enter(device, line)
    const [, family, address] = /^own(\d) "[^"]+" \. (\S+)$/.exec(line) ?? []
    if (address !== undefined) own(`gateways${family} ${address}`, device)
    const index = /^outputs .* goto to_(\d+)$/.exec(line)?.[1]
    if (index === undefined) continue
    own(`index ${index}`, device)
    own(`taken ${hexMark(connectionMarkOf(Number(index), 'answerer'))}`, device)
  }
  for (const line of unnamed) {
    const index = /goto (?:zone|from|route)_(\d+)$/.exec(line)?.[1]
    const devices = owners.get(index === undefined ? line : `index ${index}`) ?? [NOBODY]
    for (const device of devices) enter(device, line)
  }
  return found
}
