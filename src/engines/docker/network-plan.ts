/**
 * Which networks this host's engine shall have, from what the cluster wants, what was noted here and what the
 * engine lists. Pure. Networks of others are looked at, because a name may be taken, and never touched.
 */

import { type DockerSide, type EngineNetwork, NETWORK_LABELS } from '../../model/engine-network.ts'
import type { Network } from '../../model/network.ts'
import { type IP, parseIP } from '../../net/ip.ts'
import { parsePrefix, prefixContains, prefixesOverlap, prefixFamily } from '../../net/prefix.ts'
import type { NetworkOrder } from './engine-api.ts'
import type { ListedNetwork } from './engine-shapes.ts'

/**
 * On an engine's networks that this program made there: the id of our network. Compose warns of labels that its
 * file does not have, unless they begin like this.
 */
export const MADE_BY_US = 'com.docker.carrick.network'
/** The driver's option that says which network of ours is meant. */
const NETWORK_OPTION = 'carrick.network'

export interface NetworkScene {
  /** The cluster's. */
  readonly networks: readonly Network[]
  /** What is noted of this host's engine. */
  readonly bound: readonly EngineNetwork[]
  readonly listed: readonly ListedNetwork[]
  /** True for the names under which the engine knows this program as a driver. */
  readonly isOurs: (driver: string) => boolean
  /** Ids of networks of ours that a user has just removed from this engine. */
  readonly takenAway: ReadonlySet<string>
  /** What was noted before this moment is listed, or is gone. Milliseconds since 1970. */
  readonly settledMs: number
  /** False when the engine has lost everything it had: what is missing then was removed by nobody. */
  readonly sameEngine: boolean
}

export type NetworkAction =
  /** The engine's network is another user's wish for this network of ours. */
  | { readonly kind: 'share'; readonly network: Network; readonly docker: DockerSide }
  /** Note what the engine calls it, or that it has it at all. */
  | { readonly kind: 'note'; readonly record: NetworkNote }
  /** The engine does not have it any more. */
  | { readonly kind: 'forget'; readonly engineId: string }
  /** A user took it off this engine: it goes everywhere, or comes back. */
  | { readonly kind: 'give-up'; readonly network: Network }
  | { readonly kind: 'create'; readonly network: Network; readonly docker: DockerSide }
  | { readonly kind: 'remove'; readonly engineId: string; readonly name: string }

export type NetworkNote = Omit<EngineNetwork, 'schema' | 'hostId' | 'engine' | 'createdAt'>

export interface NetworkState {
  /** Absent for one that the engine has and the cluster does not know. */
  readonly networkId?: string
  /** The engine's name, as it is or as it is to be. */
  readonly name: string
  readonly engineId?: string
  /** `clash`: the name belongs to a network of somebody else; `unknown`: of ours, and nobody knows it. */
  readonly state: 'here' | 'wanted' | 'clash' | 'unknown'
  readonly detail?: string
}

export interface NetworkPlan {
  readonly actions: readonly NetworkAction[]
  readonly states: readonly NetworkState[]
}

export function planNetworks(scene: NetworkScene): NetworkPlan {
  const actions: NetworkAction[] = []
  const states: NetworkState[] = []
  const networks = new Map(scene.networks.map((network) => [network.id, network]))
  const listed = new Map(scene.listed.map((each) => [each.id, each]))
  /** Networks of ours that the engine has, or that are not to be made on it now. */
  const settled = new Set<string>()

  for (const record of [...scene.bound].sort(byAge)) {
    const network = networks.get(record.networkId)
    const seen = listed.get(record.id)
    if (seen === undefined) {
      if (Date.parse(record.createdAt) >= scene.settledMs) {
        settled.add(record.networkId) // the engine is just making it
        continue
      }
      actions.push({ kind: 'forget', engineId: record.id })
      if (network?.docker === undefined || !scene.sameEngine) continue
      settled.add(network.id)
      actions.push({ kind: 'give-up', network })
      continue
    }
    const byUs = seen.labels[MADE_BY_US] !== undefined
    const taken = network?.docker === undefined && (byUs || record.name !== undefined)
    const second = network !== undefined && settled.has(network.id) && byUs
    if (network === undefined || (taken && seen.scope === 'local') || second) {
      actions.push({ kind: 'remove', engineId: seen.id, name: seen.name })
      continue
    }
    settled.add(network.id)
    if (network.docker === undefined && seen.scope === 'local') {
      actions.push({ kind: 'share', network, docker: sideOf(network, seen) })
    }
    if (record.name !== seen.name || record.madeByUs !== byUs) {
      actions.push({ kind: 'note', record: { ...record, name: seen.name, madeByUs: byUs } })
    }
    states.push(here(network, seen, scene.isOurs))
  }

  const noted = new Set(scene.bound.map(({ id }) => id))
  for (const seen of scene.listed) {
    // Of swarm's networks managers list all, and a node has one once its engine has asked the driver for it.
    if (!scene.isOurs(seen.driver) || noted.has(seen.id) || seen.scope !== 'local') continue
    const network = networkOf(seen, scene.networks)
    if (network !== undefined && !settled.has(network.id) && !scene.takenAway.has(network.id)) {
      settled.add(network.id)
      actions.push({ kind: 'note', record: noteOf(network, seen) })
      states.push(here(network, seen, scene.isOurs))
    } else if (seen.labels[MADE_BY_US] !== undefined) {
      actions.push({ kind: 'remove', engineId: seen.id, name: seen.name })
    } else {
      const detail = 'no network of the cluster has its subnets'
      states.push({ name: seen.name, engineId: seen.id, state: 'unknown', detail })
    }
  }

  for (const network of scene.networks) {
    const { docker } = network
    if (settled.has(network.id)) continue
    if (scene.takenAway.has(network.id)) {
      actions.push({ kind: 'give-up', network })
      continue
    }
    if (docker === undefined) continue
    const state = { networkId: network.id, name: docker.name }
    const other = scene.listed.find(({ name }) => name === docker.name)
    if (other !== undefined) {
      const detail = `the engine has a network of that name with driver ${other.driver} and id ${other.id.slice(0, 12)}`
      states.push({ ...state, state: 'clash', detail })
      continue
    }
    actions.push({ kind: 'create', network, docker })
    states.push({ ...state, state: 'wanted' })
  }
  return { actions, states }
}

/**
 * What the engine is asked for: what the first engine was asked for, word for word, since Compose compares. That it
 * is this network is told to the driver otherwise.
 */
export function orderOf(network: Network, docker: DockerSide, driver: string): NetworkOrder {
  return {
    Name: docker.name,
    CheckDuplicate: true,
    Driver: driver,
    Internal: network.internal,
    EnableIPv6: network.prefixes.some((prefix) => prefixFamily(prefix) === 6),
    IPAM: {
      Driver: driver,
      Config: network.prefixes.map((prefix, i) => {
        const range = docker.ranges.find((each) => prefixesOverlap(each, prefix))
        const gateway = network.gateways[i]
        const set = Object.entries(docker.aux ?? {})
        const aux = set.filter(([, address]) => prefixContains(prefix, address))
        return {
          Subnet: prefix,
          ...(gateway === undefined ? {} : { Gateway: gateway }),
          ...(range === undefined ? {} : { IPRange: range }),
          ...(aux.length === 0 ? {} : { AuxiliaryAddresses: Object.fromEntries(aux) }),
        }
      }),
    },
    Options: docker.options,
    Labels: { ...docker.labels, [MADE_BY_US]: network.id },
  }
}

/** Everything that makes it look alike on other engines. */
function sideOf(network: Network, seen: ListedNetwork): DockerSide {
  const { [MADE_BY_US]: _, ...labels } = seen.labels
  const aux = Object.assign({}, ...seen.pools.map((pool) => addressesOf(pool.aux)))
  const madeForIt = network.labels[NETWORK_LABELS.made] !== undefined
  return {
    name: seen.name,
    options: seen.options,
    labels,
    ranges: seen.pools.flatMap(({ range }) => parsePrefix(range) ?? []),
    ...(Object.keys(aux).length === 0 ? {} : { aux }),
    ...(madeForIt ? {} : { takenUp: true }),
  }
}

function networkOf(seen: ListedNetwork, networks: readonly Network[]): Network | undefined {
  const named = seen.labels[MADE_BY_US] ?? seen.options[NETWORK_OPTION]
  if (named !== undefined) return networks.find(({ id, name }) => id === named || name === named)
  const subnets = seen.pools.map(({ subnet }) => subnet)
  const same = networks.filter(({ prefixes }) => {
    return prefixes.length === subnets.length && prefixes.every((each) => subnets.includes(each))
  })
  return same.length === 1 ? same[0] : undefined
}

/** As the driver notes it when it hears of it. */
function noteOf(network: Network, seen: ListedNetwork): NetworkNote {
  return {
    ...{ id: seen.id, networkId: network.id, name: seen.name },
    ...{ options: seen.options, internal: seen.internal },
    pools: seen.pools.flatMap(({ subnet, range, aux }) => {
      const [prefix, within] = [parsePrefix(subnet), parsePrefix(range)]
      if (prefix === undefined) return []
      const gateway = network.gateways[network.prefixes.indexOf(prefix)]
      return [
        {
          poolId: `carrick_local/${prefix}${within === undefined ? '' : `/${within}`}`,
          prefix,
          ...(within === undefined ? {} : { range: within }),
          ...(gateway === undefined ? {} : { gateway }),
          aux: addressesOf(aux),
        },
      ]
    }),
    madeByUs: seen.labels[MADE_BY_US] !== undefined,
  }
}

function addressesOf(aux: Readonly<Record<string, string>>): Readonly<Record<string, IP>> {
  const known = Object.entries(aux).flatMap(([name, text]): [string, IP][] => {
    const address = parseIP(text)
    return address === undefined ? [] : [[name, address]]
  })
  return Object.fromEntries(known)
}

function here(
  { id, docker }: Network,
  seen: ListedNetwork,
  isOurs: NetworkScene['isOurs'],
): NetworkState {
  const state = { networkId: id, name: seen.name, engineId: seen.id, state: 'here' } as const
  const details = [
    ...(docker === undefined || docker.name === seen.name
      ? []
      : [`elsewhere it is called ${docker.name}`]),
    ...(isOurs(seen.ipamDriver) || seen.ipamDriver === 'null' || seen.scope !== 'local'
      ? []
      : ['the engine chooses addresses by itself: make it with --ipam-driver carrick instead']),
  ]
  return details.length === 0 ? state : { ...state, detail: details.join('; ') }
}

function byAge(a: EngineNetwork, b: EngineNetwork): number {
  return a.createdAt < b.createdAt ? -1 : a.createdAt > b.createdAt ? 1 : a.id < b.id ? -1 : 1
}
