/**
 * The network driver's networks: which network of ours an engine's network is. Named by an option, else the one
 * with the same subnets, else a new one. An engine says this once in a network's life, so it is noted for good.
 */

import type { Clock } from '../../lib/clock.ts'
import { isNetworkError, NetworkError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import {
  ENGINE_LABELS,
  type EngineNetwork,
  type EnginePool,
  isSwarmId,
  NETWORK_LABELS,
} from '../../model/engine-network.ts'
import type { Network } from '../../model/network.ts'
import { type IP, parseIP } from '../../net/ip.ts'
import { type Prefix, parsePrefix, prefixLength } from '../../net/prefix.ts'
import type { EngineControl } from './engine-control.ts'
import { Lanes } from './lanes.ts'
import type { Message, PoolData } from './messages.ts'
import { type NetworkOptions, readNetworkOptions } from './options.ts'
import { SPACES } from './pool-id.ts'
import { refuseUnfit } from './unfit.ts'
import { removeUnused } from './unused.ts'

export interface NetworksDeps {
  readonly control: EngineControl
  readonly hostId: string
  readonly clock: Clock
  readonly log: Log
}

/** How long a network that another host is just making may take to be seen here. */
const SEEN_MS = 2_000
const RETRY_MS = 20
/** Such a pause is too short to be broken off. */
const NEVER = new AbortController().signal

interface Wanted {
  readonly id: string
  readonly options: NetworkOptions
  readonly internal: boolean
  readonly pools: readonly EnginePool[]
}

export class EngineNetworks {
  readonly #deps: NetworksDeps
  /** One at a time: each asks whether the set of networks has changed meanwhile. */
  readonly #making = new Lanes()

  constructor(deps: NetworksDeps) {
    this.#deps = deps
  }

  /** The same again has the same answer; nothing is left of one that failed. */
  async create(message: Message<'NetworkDriver.CreateNetwork'>): Promise<object> {
    const { control } = this.#deps
    const { NetworkID: id, Options } = message
    const { chosen, internal } = Options
    const wanted: Wanted = {
      ...{ id, internal },
      options: readNetworkOptions(chosen),
      pools: this.#poolsOf([...message.IPv4Data, ...message.IPv6Data]),
    }
    const before = control.engineNetwork(id)
    if (before !== undefined) {
      if (isSame(before, wanted, chosen)) return this.#settle(wanted)
      throw new NetworkError(
        'conflict',
        `Cannot create network ${id}: it is there with other settings`,
      )
    }
    const { network, made } = await this.#networkFor(wanted)
    try {
      this.#refuseSecond(network, wanted)
      await this.#setAside(network, wanted.pools)
      this.#refuseSecond(network, wanted) // nothing comes between this and the note
    } catch (error) {
      if (made) await this.#removeUnused(network)
      throw error
    }
    control.bindEngineNetwork({
      ...{ id, networkId: network.id, internal, pools: wanted.pools },
      options: chosen,
      madeByUs: false,
    })
    return this.#settle(wanted)
  }

  /** The pools are the network's now. */
  #settle({ pools }: Wanted): object {
    const { control } = this.#deps
    for (const { space, prefix, poolId } of control.pendingPools()) {
      if (space !== SPACES.local) continue
      const used = pools.some((pool) => pool.prefix === prefix)
      if (used) control.dropPendingPool(poolId)
    }
    return {}
  }

  /** Content when it is unknown. */
  async delete({ NetworkID: id }: Message<'NetworkDriver.DeleteNetwork'>): Promise<object> {
    const { control, log } = this.#deps
    const bound = control.engineNetwork(id)
    if (bound === undefined) return {}
    const left = control
      .listEngineEndpoints()
      .filter(({ networkId }) => networkId === bound.networkId)
    const pools = new Set(bound.pools.map(({ poolId }) => poolId))
    const aside = new Set(bound.pools.flatMap(({ aux }) => Object.values(aux)))
    const results = await Promise.allSettled(
      left.map(async ({ labels, addresses }) => {
        const engineId = labels[ENGINE_LABELS.endpoint]
        if (engineId !== undefined) return control.unplug(engineId)
        const ours = addresses.some((address) => aside.has(address))
        if (!ours && !pools.has(labels[ENGINE_LABELS.pool] ?? '')) return
        for (const address of addresses) await control.releaseHeld(bound.networkId, address)
      }),
    )
    for (const result of results) {
      if (result.status === 'fulfilled') continue
      log.warn('endpoint of a deleted network stays', { network: id, error: result.reason })
    }
    control.unbindEngineNetwork(id)
    const network = control.listNetworks().find((each) => each.id === bound.networkId)
    // What a manager had made is there though no node needs it.
    if (network === undefined || bound.madeByUs || isSwarmId(id)) return {}
    await this.#removeUnused(network)
    return {}
  }

  /** Of swarm's manager: the nodes get our network's id with the user's options. */
  async allocate(message: Message<'NetworkDriver.AllocateNetwork'>): Promise<object> {
    const { NetworkID: id, Options: chosen } = message
    const wanted: Wanted = {
      ...{ id, internal: false },
      options: readNetworkOptions(chosen),
      pools: this.#poolsOf([...message.IPv4Data, ...message.IPv6Data]),
    }
    const { network } = await this.#networkFor(wanted)
    return { Options: { ...chosen, 'carrick.network': network.id } }
  }

  /** Content when it is unknown. */
  async free({ NetworkID: id }: Message<'NetworkDriver.FreeNetwork'>): Promise<object> {
    const network = this.#deps.control
      .listNetworks()
      .find(({ labels }) => labels[NETWORK_LABELS.made] === id)
    if (network !== undefined) await this.#removeUnused(network)
    return {}
  }

  /** Pools without addresses, which the null IPAM driver makes, are none. */
  #poolsOf(given: readonly PoolData[]): readonly EnginePool[] {
    const pending = this.#deps.control.pendingPools()
    return given.flatMap(({ AddressSpace: space, Pool, Gateway, AuxAddresses }): EnginePool[] => {
      const prefix = parsePrefix(Pool)
      if (prefix === undefined) {
        throw new NetworkError('invalid', `Cannot create a network: pool "${Pool}" is not a subnet`)
      }
      if (prefixLength(prefix) === 0) return []
      const asked = pending.find((pool) => pool.space === space && pool.prefix === prefix)
      const gateway = Gateway === '' ? undefined : readAddress(Gateway)
      const aux = Object.entries(AuxAddresses).map(([name, text]) => [name, readAddress(text)])
      return [
        {
          poolId: asked?.poolId ?? `${space}/${prefix}`,
          prefix,
          ...(asked?.range === undefined ? {} : { range: asked.range }),
          ...(gateway === undefined ? {} : { gateway }),
          aux: Object.fromEntries(aux),
        },
      ]
    })
  }

  async #networkFor(wanted: Wanted): Promise<{ network: Network; made: boolean }> {
    const { control } = this.#deps
    const { options, pools } = wanted
    const expected = control.expectedNetwork(pools.map(({ prefix }) => prefix))
    if (expected !== undefined) return { network: expected, made: false }
    if (options.network !== undefined) {
      const network = control.getNetwork(options.network)
      refuseUnlike(network, wanted)
      return { network, made: false }
    }
    if (pools.length === 0) {
      throw new NetworkError('invalid', 'Cannot create a network without a subnet', {
        hint: 'docker network create -d carrick --ipam-driver carrick …, or -o carrick.network=NAME',
      })
    }
    // A subnet that was chosen here is meant for a network of its own; another host may have chosen it, too.
    const chosen = this.#isChosen(pools)
    const known = chosen ? undefined : this.#sameSubnets(wanted)
    if (known !== undefined) return { network: known, made: false }
    try {
      const network = await this.#making.run('', () => this.#make(wanted))
      return { network, made: true }
    } catch (error) {
      if (!isNetworkError(error, 'conflict') || chosen) throw error
      // Another host may have made it at this moment.
      const seen = await this.#soon(() => this.#sameSubnets(wanted), overlapsNetwork(error))
      if (seen === undefined) throw error
      return { network: seen, made: false }
    }
  }

  /** True when the engine left the choice of a pool to us. */
  #isChosen(pools: readonly EnginePool[]): boolean {
    const ids = new Set(pools.map(({ poolId }) => poolId))
    return this.#deps.control
      .pendingPools()
      .some(({ poolId, automatic }) => automatic && ids.has(poolId))
  }

  /** The one network with exactly these subnets. */
  #sameSubnets(wanted: Wanted): Network | undefined {
    const prefixes = wanted.pools.map(({ prefix }) => prefix)
    const same = this.#deps.control
      .listNetworks()
      .filter((each) => isSameSet(each.prefixes, prefixes))
    const [network, other] = same
    if (network === undefined) return undefined
    if (other !== undefined) {
      throw new NetworkError(
        'conflict',
        `Cannot tell which network has subnet ${prefixes.join(' and ')}: ${same.map(({ name }) => name).join(' and ')} do`,
        { hint: `docker network create -o carrick.network=${network.name} …` },
      )
    }
    refuseUnlike(network, wanted)
    return network
  }

  async #soon<T>(find: () => T | undefined, likely: boolean): Promise<T | undefined> {
    const { clock } = this.#deps
    const deadline = clock.monotonicMs() + (likely ? SEEN_MS : 0)
    for (;;) {
      const found = find()
      if (found !== undefined || clock.monotonicMs() >= deadline) return found
      await clock.sleep(RETRY_MS, NEVER)
    }
  }

  #make({ id, options, internal, pools }: Wanted): Promise<Network> {
    const { control } = this.#deps
    const { carrier, mtuBytes, masquerade, open, force } = options
    return control.createNetwork({
      name: options.name ?? control.networkNameFor(`docker-${id.slice(0, 12)}`),
      subnets: pools.map(({ prefix }) => prefix),
      gateways: pools.flatMap(({ gateway }) => gateway ?? []),
      ...(carrier === undefined ? {} : { carrier }),
      ...(mtuBytes === undefined ? {} : { mtuBytes }),
      ...(masquerade === undefined ? {} : { masquerade }),
      ...(open === undefined ? {} : { open }),
      internal,
      force,
      labels: { [NETWORK_LABELS.made]: id },
    })
  }

  /** Auxiliary addresses are nobody's, on no host; several engines may set the same ones aside. */
  async #setAside(network: Network, pools: readonly EnginePool[]): Promise<void> {
    const { control } = this.#deps
    const held: IP[] = []
    try {
      for (const [name, address] of pools.flatMap(({ aux }) => Object.entries(aux))) {
        const labels = { [ENGINE_LABELS.aux]: name }
        await control.holdAddress({ network: network.id, address, labels })
        held.push(address)
      }
    } catch (error) {
      for (const address of held) await control.releaseHeld(network.id, address)
      throw error
    }
  }

  /** An engine has a network of ours once, so that what it says of an endpoint is said of one network. */
  #refuseSecond(network: Network, { id }: Wanted): void {
    const { control, hostId } = this.#deps
    const other = control
      .listEngineNetworks({ network: network.id, host: hostId })
      .find((each) => each.id !== id)
    if (other === undefined) return
    throw new NetworkError(
      'conflict',
      `Cannot create a network with subnet ${network.prefixes.join(' and ')}: it overlaps Docker network ${other.name ?? other.id.slice(0, 12)}, which is network ${network.name} already`,
      { hint: 'docker network ls --filter driver=carrick' },
    )
  }

  /** Removes what an engine made; what was made otherwise stays. */
  async #removeUnused(network: Network): Promise<void> {
    if (network.labels[NETWORK_LABELS.made] !== undefined) await removeUnused(this.#deps, network)
  }
}

/** True when the network is on the engine just as it is wanted again. */
function isSame(
  before: EngineNetwork,
  { internal, pools }: Wanted,
  chosen: Readonly<Record<string, string>>,
): boolean {
  const [a, b] = [before.pools, pools].map((list) => list.map(({ prefix }) => prefix))
  const keys = new Set([...Object.keys(before.options), ...Object.keys(chosen)])
  return (
    before.internal === internal &&
    isSameSet(a ?? [], b ?? []) &&
    [...keys].every((key) => before.options[key] === chosen[key])
  )
}

/** Throws `conflict` when the network is not what the engine's network is wanted to be. */
function refuseUnlike(network: Network, { options, internal, pools }: Wanted): void {
  const problems: string[] = []
  if (network.labels[NETWORK_LABELS.pool] !== undefined) {
    problems.push(`it holds the addresses of a network of another driver`)
  }
  refuseUnfit(network, problems, { internal, pools, options })
}

function isSameSet(a: readonly Prefix[], b: readonly Prefix[]): boolean {
  return a.length === b.length && a.every((each) => b.includes(each))
}

/** True when a network of ours is what stood in the way: it may be the very one. */
function overlapsNetwork(error: NetworkError): boolean {
  const { overlaps } = error.details
  return Array.isArray(overlaps) && overlaps.some((each) => each?.network !== undefined)
}

function readAddress(text: string): IP {
  const address = parseIP(text.split('/')[0] ?? '')
  if (address !== undefined) return address
  throw new NetworkError('invalid', `Cannot create a network: "${text}" is not an address`)
}
