/**
 * Takes what containers say about themselves to their endpoints. Follows the engine's events; asks for lists and
 * networks, which an engine answers at any time, and for a container itself only once that has started.
 */

import { isNetworkError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Endpoint } from '../../model/endpoint.ts'
import { ENGINE_LABELS } from '../../model/engine-network.ts'
import { linkLocalsOf, parseLinkLocal } from '../../model/link-local.ts'
import type { IP } from '../../net/ip.ts'
import { labelsFor } from './endpoint-labels.ts'
import type { EngineApi } from './engine-api.ts'
import type { FollowerControl } from './engine-control.ts'
import type { ContainerSummary, GivenToEndpoint, SeenEndpoint } from './engine-shapes.ts'

export interface LabellerDeps {
  readonly api: EngineApi
  readonly control: FollowerControl
  readonly log: Log
}

/** Questions about containers under way at once. */
const AT_ONCE = 4

export class Labeller {
  readonly #deps: LabellerDeps
  /** What users gave, by the engine's endpoint id: it never changes. */
  readonly #given = new Map<string, GivenToEndpoint>()
  /** Engine's ids of endpoints of which was told that another has their link-local address. */
  readonly #refused = new Set<string>()

  constructor(deps: LabellerDeps) {
    this.#deps = deps
  }

  /** Of containers to which something happened, in the networks with these engine ids. */
  async look(containerIds: readonly string[], networkIds: readonly string[]): Promise<void> {
    const { api } = this.#deps
    const [containers, networks] = await Promise.all([
      containerIds.length === 0 ? [] : api.containers(containerIds),
      Promise.all(networkIds.map((id) => this.#endpointsOf(id))),
    ])
    await this.apply(containers, networks.flat())
  }

  /** Labels the endpoints of these containers; `seen` tells of those that the containers do not name yet. */
  async apply(
    containers: readonly ContainerSummary[],
    seen: readonly SeenEndpoint[],
  ): Promise<void> {
    const endpoints = this.#own()
    const owners = ownersOf(containers, seen)
    const label = (): void => {
      for (const [engineId, container] of owners) {
        const endpoint = endpoints.get(engineId)
        if (endpoint !== undefined) this.#label(endpoint, container, engineId)
      }
    }
    label() // at once with what is known without asking
    const asked = [...owners].filter(([engineId, { running }]) => {
      return running && endpoints.has(engineId) && !this.#given.has(engineId)
    })
    if (asked.length === 0) return
    await this.#ask(new Set(asked.map(([, { id }]) => id)))
    label()
  }

  /** Own endpoints that an engine has, by its id. */
  #own(): ReadonlyMap<string, Endpoint> {
    const found = new Map<string, Endpoint>()
    for (const endpoint of this.#deps.control.listEngineEndpoints()) {
      const engineId = endpoint.labels[ENGINE_LABELS.endpoint]
      if (engineId !== undefined) found.set(engineId, endpoint)
    }
    for (const engineId of this.#given.keys()) {
      if (found.has(engineId)) continue
      this.#given.delete(engineId)
      this.#refused.delete(engineId)
    }
    return found
  }

  #label({ id }: Endpoint, container: ContainerSummary, engineId: string): void {
    const { control, log } = this.#deps
    const endpoint = control.plugged(engineId)
    if (endpoint === undefined) return
    // After our start containers are asked again; until then what was known stands.
    const names = endpoint.labels[ENGINE_LABELS.names]?.split(',') ?? []
    const known = this.#given.get(engineId) ?? { names, linkLocals: [] }
    const linkLocals = this.#free(endpoint, engineId, known.linkLocals)
    const labels = labelsFor(endpoint, container, { ...known, linkLocals })
    if (labels === undefined) return
    try {
      control.labelEndpoint(id, labels)
    } catch (error) {
      if (!isNetworkError(error)) throw error
      log.debug('endpoint not labelled', { endpoint: id, error: error.message })
    }
  }

  /** Link-local addresses that can be had: who has one first keeps it, and who wants it then gets it afterwards. */
  #free({ id, networkId }: Endpoint, engineId: string, texts: readonly string[]): readonly IP[] {
    const addresses = texts.flatMap((text) => parseLinkLocal(text) ?? [])
    if (addresses.length === 0) return []
    const { control, log } = this.#deps
    const others = control.listEndpoints({ network: networkId }).filter((each) => each.id !== id)
    const taken = new Set(others.flatMap(linkLocalsOf))
    const free = addresses.filter((address) => !taken.has(address))
    if (free.length === addresses.length) this.#refused.delete(engineId)
    else if (!this.#refused.has(engineId)) {
      this.#refused.add(engineId)
      const address = addresses.filter((each) => taken.has(each)).join(' ')
      log.warn('link-local address is another’s', { endpoint: id, address })
    }
    return free
  }

  async #ask(containerIds: ReadonlySet<string>): Promise<void> {
    const { api, log } = this.#deps
    const waiting = [...containerIds]
    const ask = async (): Promise<void> => {
      for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
        try {
          const { given } = await api.container(id)
          for (const [engineId, each] of given) this.#given.set(engineId, each)
        } catch (error) {
          if (!isNetworkError(error)) throw error
          log.debug('container not asked', { container: id, error: error.message })
        }
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, ask))
  }

  /** None for a network that is gone meanwhile. */
  async #endpointsOf(networkId: string): Promise<readonly SeenEndpoint[]> {
    try {
      return (await this.#deps.api.network(networkId)).endpoints
    } catch (error) {
      if (isNetworkError(error, 'not-found')) return []
      throw error
    }
  }
}

/** Which container has which endpoint: while it starts, only its name tells. */
function ownersOf(
  containers: readonly ContainerSummary[],
  seen: readonly SeenEndpoint[],
): ReadonlyMap<string, ContainerSummary> {
  const owners = new Map<string, ContainerSummary>()
  const byKey = new Map(containers.flatMap((each) => [[each.id, each] as const]))
  const byName = new Map(containers.map((each) => [each.name, each]))
  for (const { containerKey, name, endpointId } of seen) {
    const owner = byKey.get(containerKey) ?? byName.get(name)
    if (owner !== undefined) owners.set(endpointId, owner)
  }
  for (const container of containers) {
    for (const endpointId of container.endpointIds) owners.set(endpointId, container)
  }
  return owners
}
