/** The use cases of a container engine's driver, put together. */

import { isNetworkError } from '../lib/errors.ts'
import { parseIP } from '../net/ip.ts'
import type { Store } from '../store/store.ts'
import { ChosenPrefixes } from './chosen-prefixes.ts'
import type { DockerControl } from './docker-control.ts'
import { EngineEndpoints, type EngineEndpointsDeps } from './engine-endpoints.ts'
import { EngineNetworks } from './engine-networks.ts'

export interface DockerControlDeps extends EngineEndpointsDeps {
  readonly store: Store
  /** Id of the host that is named. */
  readonly hostOf: (reference: string) => string
}

export function createDockerControl(deps: DockerControlDeps): DockerControl {
  const { networks, hostOf } = deps
  const endpoints = new EngineEndpoints(deps)
  const engine = new EngineNetworks(deps)
  const chosen = new ChosenPrefixes(deps)
  /** Undefined for a network that is gone: what was held of it is, too. */
  const networkId = (reference: string): string | undefined => {
    try {
      return networks.get(reference).id
    } catch (error) {
      if (isNetworkError(error, 'not-found')) return undefined
      throw error
    }
  }
  return {
    holdAddress: (spec) => endpoints.hold(spec),
    releaseHeld: async (network, text) => {
      const [id, address] = [networkId(network), parseIP(text)]
      if (id !== undefined && address !== undefined) endpoints.release(id, address)
    },
    listEngineEndpoints: () => endpoints.list(),
    plug: (spec) => endpoints.plug(spec),
    plugged: (engineEndpointId) => endpoints.plugged(engineEndpointId),
    unplug: (engineEndpointId) => endpoints.unplug(engineEndpointId),
    labelEndpoint: (endpointId, labels) => endpoints.label(endpointId, labels),
    bindEngineNetwork: (network) => engine.bind(network),
    unbindEngineNetwork: (id) => engine.unbind(id),
    engineNetwork: (id) => engine.get(id),
    listEngineNetworks: ({ network, host } = {}) =>
      engine.list({
        ...(network === undefined ? {} : { networkId: networks.get(network).id }),
        ...(host === undefined ? {} : { hostId: hostOf(host) }),
      }),
    setNetworkDocker: (reference, docker) => engine.setDocker(reference, docker),
    renameNetwork: (reference, name) => engine.rename(reference, name),
    networkNameFor: (name) => engine.nameFor(name),
    expectNetwork: (id) => engine.expect(id),
    expectedNetwork: (prefixes) => engine.expected(prefixes),
    choosePrefix: (spec) => chosen.choose(spec),
    pendingPools: () => engine.pending(),
    keepPendingPool: (pool) => engine.keepPending(pool),
    dropPendingPool: (poolId) => engine.dropPending(poolId),
  }
}
