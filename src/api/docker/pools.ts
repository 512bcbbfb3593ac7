/**
 * The IPAM driver: pools and addresses as an engine asks for them. A pool belongs to the network that the engine
 * then makes of it; until then it is *pending*, and its gateway and auxiliary addresses are answered from its
 * note. A pool that no network of ours is made of is another network driver's: its addresses come from a
 * network of ours that nothing but addresses is used of.
 */

import type { PendingPool } from '../../control/docker-control.ts'
import { defaultGateway, placeOf } from '../../control/ipam/layout.ts'
import { type Clock, timestamp } from '../../lib/clock.ts'
import { isNetworkError, NetworkError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import {
  ENGINE_LABELS,
  type EngineNetwork,
  isSwarmId,
  NETWORK_LABELS,
} from '../../model/engine-network.ts'
import type { Network } from '../../model/network.ts'
import { type Family, type IP, parseIP } from '../../net/ip.ts'
import {
  type Prefix,
  parsePrefix,
  prefixContains,
  prefixesOverlap,
  prefixFamily,
  prefixLength,
  suggestPrefix,
} from '../../net/prefix.ts'
import type { EngineControl } from './engine-control.ts'
import type { Message } from './messages.ts'
import { readPoolOptions } from './options.ts'
import { type PoolName, parsePoolId, poolIdOf, SPACES } from './pool-id.ts'
import { SwarmAddresses, taskName } from './swarm-addresses.ts'
import { removeUnused } from './unused.ts'

export interface PoolsDeps {
  readonly control: EngineControl
  readonly hostId: string
  readonly clock: Clock
  readonly log: Log
}

/** A pool holds a gateway and some thousand containers; there is room for a thousand such pools. */
const CHOSEN_LENGTH: Readonly<Record<Family, number>> = { 4: 20, 6: 64 }
/** An engine that likes none of our choices gets an error in the end. */
const MOST_PENDING = 99
const GATEWAY = 'com.docker.network.gateway'

export class Pools {
  readonly #deps: PoolsDeps
  readonly #swarm: SwarmAddresses

  constructor(deps: PoolsDeps) {
    this.#deps = deps
    this.#swarm = new SwarmAddresses(deps.control)
  }

  /** The same request has the same answer until a network was made of it. */
  async requestPool(message: Message<'IpamDriver.RequestPool'>) {
    const space = spaceOf(message.AddressSpace)
    const { network, length } = readPoolOptions(message.Options)
    const family = message.V6 ? 6 : 4
    const automatic = message.Pool === '' && network === undefined
    const prefix =
      message.Pool !== ''
        ? readPrefix('pool', message.Pool)
        : network !== undefined
          ? this.#prefixOf(network, family)
          : await this.#choose(family, length ?? CHOSEN_LENGTH[family])
    const range = message.SubPool === '' ? undefined : readPrefix('range', message.SubPool)
    if (range !== undefined && !isInside(range, prefix)) {
      throw new NetworkError(
        'invalid',
        `Cannot use range ${range}: it is not inside pool ${prefix}`,
      )
    }
    const name = { space, prefix, ...(range === undefined ? {} : { range }) }
    this.#refuseUsed(name)
    const pool = this.#pendingOf(name) ?? this.#note(name, automatic)
    if (pool.automatic && !automatic) {
      this.#deps.control.keepPendingPool({ ...pool, automatic: false }) // a user means it now
    }
    return { PoolID: pool.poolId, Pool: prefix, Data: {} }
  }

  /** Content for pools that are unknown, and for those of networks: they go with their network. */
  async releasePool({ PoolID }: Message<'IpamDriver.ReleasePool'>): Promise<object> {
    const { control } = this.#deps
    const pending = control.pendingPools().find(({ poolId }) => poolId === PoolID)
    if (pending === undefined) return {}
    control.dropPendingPool(PoolID)
    const network = control
      .listNetworks()
      .find(({ labels }) => labels[NETWORK_LABELS.pool] === PoolID)
    if (network === undefined) return {}
    for (const { labels, addresses, networkId } of control.listEngineEndpoints()) {
      if (networkId !== network.id || labels[ENGINE_LABELS.pool] !== PoolID) continue
      for (const address of addresses) await control.releaseHeld(network.id, address)
    }
    await removeUnused(this.#deps, network)
    return {}
  }

  async requestAddress(message: Message<'IpamDriver.RequestAddress'>) {
    const { PoolID, Options } = message
    const pool = parsePoolId(PoolID)
    if (pool === undefined) {
      throw new NetworkError('not-found', `Cannot give an address: there is no pool "${PoolID}"`)
    }
    const wanted = message.Address === '' ? undefined : readAddress(message.Address, pool.prefix)
    const bound = this.#boundTo(PoolID)
    const address =
      Options['RequestAddressType'] === GATEWAY
        ? this.#gateway(pool, wanted, bound)
        : bound !== undefined
          ? await this.#hold(bound.networkId, pool, wanted, isSwarmId(bound.id))
          : await this.#unbound(pool, wanted)
    return { Address: `${address}/${prefixLength(pool.prefix)}`, Data: {} }
  }

  /** Content when nobody holds it. */
  async releaseAddress(message: Message<'IpamDriver.ReleaseAddress'>): Promise<object> {
    const { control } = this.#deps
    const { PoolID, Address } = message
    const pool = parsePoolId(PoolID)
    const address = parseIP(Address.split('/')[0] ?? '')
    if (pool === undefined || address === undefined) return {}
    const bound = this.#boundTo(PoolID)
    if (bound !== undefined) {
      await control.releaseHeld(bound.networkId, address)
      return {}
    }
    const pending = this.#pendingOf(pool)
    if (pending !== undefined && Object.values(pending.aux).includes(address)) {
      const aux = Object.entries(pending.aux).filter(([, other]) => other !== address)
      control.keepPendingPool({ ...pending, aux: Object.fromEntries(aux) })
    }
    for (const network of this.#networksOf(pool.prefix)) {
      if (pool.space === SPACES.global) await this.#swarm.release(network, address)
      else await control.releaseHeld(network.id, address)
    }
    return {}
  }

  /** The network's own; of a network yet to come the one asked for, or the first address. */
  #gateway(pool: PoolName, wanted: IP | undefined, bound: EngineNetwork | undefined): IP {
    const { control } = this.#deps
    const [network] =
      bound === undefined ? this.#networksOf(pool.prefix) : [control.getNetwork(bound.networkId)]
    const given = network === undefined ? undefined : gatewayIn(network, pool.prefix)
    if (given !== undefined) {
      if (wanted === undefined || wanted === given) return given
      throw new NetworkError(
        'conflict',
        `Cannot make ${wanted} the gateway: network ${network?.name} with subnet ${pool.prefix} has gateway ${given}`,
        { hint: `docker network create --gateway ${given} …` },
      )
    }
    const gateway = wanted ?? defaultGateway(pool.prefix)
    const place = placeOf(pool.prefix, gateway)
    if (place !== undefined) {
      throw new NetworkError('invalid', `Cannot make ${gateway} the gateway: it is ${place}`)
    }
    control.keepPendingPool({ ...(this.#pendingOf(pool) ?? this.#note(pool, false)), gateway })
    return gateway
  }

  /**
   * Before its network is made, a pool is asked for auxiliary addresses. Asked for any address, it is the pool
   * of another driver's network.
   */
  async #unbound(pool: PoolName, wanted: IP | undefined): Promise<IP> {
    const { control } = this.#deps
    const pending = this.#pendingOf(pool) ?? this.#note(pool, false)
    const network = this.#networkForAddresses(pending)
    if (wanted !== undefined && network === undefined) {
      if (wanted === pending.gateway || Object.values(pending.aux).includes(wanted)) {
        throw new NetworkError(
          'already-exists',
          `Cannot give ${wanted}: it is taken in ${pool.prefix}`,
        )
      }
      control.keepPendingPool({ ...pending, aux: { ...pending.aux, [wanted]: wanted } })
      return wanted
    }
    const own = network ?? (await this.#makeNetwork(pending))
    if (pool.space === SPACES.global) return this.#swarm.take(own, pool, wanted)
    // What another driver's endpoint has stays held while it lives: it cannot be had again.
    const used = control.listEndpoints({ network: own.id }).flatMap(({ addresses }) => addresses)
    if (wanted !== undefined && used.includes(wanted)) {
      throw new NetworkError(
        'already-exists',
        `Cannot give ${wanted}: it is taken in ${pool.prefix}`,
      )
    }
    const made = parsePoolId(own.labels[NETWORK_LABELS.pool] ?? '')
    return this.#hold(own.id, pool, wanted, made?.space === SPACES.global)
  }

  /** In swarm's networks, an address that is asked for is one that a manager has given to the task. */
  async #hold(
    network: string,
    pool: PoolName,
    wanted: IP | undefined,
    ofSwarm: boolean,
  ): Promise<IP> {
    const { address } = await this.#deps.control.holdAddress({
      network,
      ...(wanted === undefined ? {} : { address: wanted }),
      ...(wanted !== undefined && ofSwarm ? { name: taskName(wanted) } : {}),
      within: pool.range ?? pool.prefix,
      family: prefixFamily(pool.prefix),
      labels: { [ENGINE_LABELS.pool]: poolIdOf(pool) },
    })
    return address
  }

  #networkForAddresses({ space, prefix }: PendingPool): Network | undefined {
    const networks = this.#networksOf(prefix)
    // The manager's pool is that of the network which it made for all nodes.
    if (space === SPACES.global) return networks[0]
    return networks.find(({ labels }) => labels[NETWORK_LABELS.pool] !== undefined)
  }

  /** Nothing of it stands in a kernel: the other driver's bridge has the routes. */
  async #makeNetwork({ poolId, prefix, gateway, aux }: PendingPool): Promise<Network> {
    const { control } = this.#deps
    const network = await control.createNetwork({
      name: control.networkNameFor(`pool-${prefix}`),
      subnets: [prefix],
      ...(gateway === undefined ? {} : { gateways: [gateway] }),
      carrier: 'local',
      internal: true,
      force: true,
      labels: { [NETWORK_LABELS.pool]: poolId },
    })
    const labels = { [ENGINE_LABELS.pool]: poolId }
    for (const address of Object.values(aux)) {
      await control.holdAddress({ network: network.id, address, labels })
    }
    return network
  }

  #boundTo(poolId: string): EngineNetwork | undefined {
    return this.#own().find(({ pools }) => pools.some((pool) => pool.poolId === poolId))
  }

  #own(): readonly EngineNetwork[] {
    const { control, hostId } = this.#deps
    return control.listEngineNetworks({ host: hostId })
  }

  #networksOf(prefix: Prefix): readonly Network[] {
    return this.#deps.control.listNetworks().filter(({ prefixes }) => prefixes.includes(prefix))
  }

  #pendingOf(name: PoolName): PendingPool | undefined {
    const id = poolIdOf(name)
    return this.#deps.control.pendingPools().find(({ poolId }) => poolId === id)
  }

  #note(name: PoolName, automatic: boolean): PendingPool {
    const { control, clock } = this.#deps
    const poolId = poolIdOf(name)
    const pool = { ...name, poolId, aux: {}, automatic, createdAt: timestamp(clock.wallMs()) }
    control.keepPendingPool(pool)
    return pool
  }

  /** Throws when a network or a request of this engine has the addresses. */
  #refuseUsed(wanted: PoolName): void {
    const id = poolIdOf(wanted)
    const uses = [
      ...this.#own().flatMap(({ id: engineId, name, pools }) =>
        pools
          // A node whose engine starts again asks anew for what swarm's networks are made of.
          .filter(({ prefix }) => !isSwarmId(engineId) || prefix !== wanted.prefix)
          .map((pool) => ({ ...pool, by: `Docker network ${name ?? engineId.slice(0, 12)}` })),
      ),
      ...this.#deps.control
        .pendingPools()
        .filter(({ poolId }) => poolId !== id)
        .map((pool) => ({ ...pool, by: `pool ${pool.poolId}, which an engine asked for` })),
    ]
    for (const { poolId, prefix, by } of uses) {
      const sameSpace = parsePoolId(poolId)?.space === wanted.space
      if (!sameSpace || !prefixesOverlap(prefix, wanted.prefix)) continue
      throw new NetworkError(
        'conflict',
        `Cannot use pool ${wanted.prefix}: it overlaps ${prefix} of ${by}`,
        { hint: 'carrick ipam suggest   # free ranges' },
      )
    }
  }

  /** A range that nothing overlaps, a different one at each call. */
  async #choose(family: Family, length: number): Promise<Prefix> {
    const { control } = this.#deps
    const pending = control.pendingPools()
    if (pending.length >= MOST_PENDING) {
      throw new NetworkError(
        'exhausted',
        `Cannot choose a pool: ${MOST_PENDING} were chosen and no network was made of them`,
        { hint: 'docker network create --subnet …' },
      )
    }
    const pools = [...pending, ...this.#own().flatMap((network) => network.pools)]
    const avoid = pools.map(({ prefix }) => prefix)
    try {
      return await control.choosePrefix({ family, length, avoid })
    } catch (error) {
      if (!isNetworkError(error, 'exhausted')) throw error
      throw new NetworkError('exhausted', `Cannot choose a pool: no /${length} is free`, {
        hint: 'docker network create --subnet …',
        cause: error,
      })
    }
  }

  #prefixOf(reference: string, family: Family): Prefix {
    const network = this.#deps.control.getNetwork(reference)
    const prefix = network.prefixes.find((each) => prefixFamily(each) === family)
    if (prefix !== undefined) return prefix
    throw new NetworkError(
      'invalid',
      `Cannot use network ${network.name}: it has no IPv${family} subnet, only ${network.prefixes.join(' and ')}`,
    )
  }
}

/** The gateway of the network's prefix; undefined when it has no such prefix. */
export function gatewayIn(network: Network, prefix: Prefix): IP | undefined {
  return network.gateways[network.prefixes.indexOf(prefix)]
}

function spaceOf(text: string): PoolName['space'] {
  const known = Object.values(SPACES).find((space) => space === text)
  if (known !== undefined) return known
  if (text === '') return SPACES.local
  throw new NetworkError('invalid', `Cannot use address space "${text}": there is no such space`)
}

function readPrefix(what: string, text: string): Prefix {
  const prefix = parsePrefix(text)
  if (prefix !== undefined) return prefix
  const meant = suggestPrefix(text)
  const help = meant === undefined ? 'write it like 10.90.0.0/16' : `did you mean ${meant}?`
  throw new NetworkError('invalid', `Cannot use ${what} "${text}": it is not a subnet: ${help}`)
}

function readAddress(text: string, prefix: Prefix): IP {
  const address = parseIP(text.split('/')[0] ?? '')
  if (address !== undefined && prefixContains(prefix, address)) return address
  throw new NetworkError('invalid', `Cannot give "${text}": it is no address of pool ${prefix}`)
}

function isInside(inner: Prefix, outer: Prefix): boolean {
  return prefixesOverlap(inner, outer) && prefixLength(inner) >= prefixLength(outer)
}
