/** What the watcher knows, for people to read. Pure. */

import type { DockerView } from '../../control/docker-view.ts'
import type { Endpoint } from '../../model/endpoint.ts'
import { ENGINE_LABELS } from '../../model/engine-network.ts'
import type { Network } from '../../model/network.ts'
import type { NetworkState } from './network-plan.ts'
import type { Orphans } from './orphans.ts'

export interface Knowledge extends Pick<DockerView, 'engine' | 'plugin' | 'hints'> {
  readonly networks: readonly Network[]
  readonly states: readonly NetworkState[]
  /** What could not be done, by our id of the network or the engine's. */
  readonly failures: ReadonlyMap<string, string>
  /** Of this host's engine. */
  readonly endpoints: readonly Endpoint[]
  readonly waiting: Orphans['waiting']
}

export function viewOf(known: Knowledge): DockerView {
  const { engine, plugin, failures, endpoints } = known
  const names = new Map(known.networks.map(({ id, name }) => [id, name]))
  const networks = known.states.map(({ networkId, detail, ...state }) => {
    const network = names.get(networkId ?? '')
    const failure = failures.get(networkId ?? '') ?? failures.get(state.engineId ?? '')
    const text = failure ?? detail
    return {
      ...(network === undefined ? {} : { network }),
      ...state,
      ...(text === undefined ? {} : { detail: text }),
    }
  })
  const held = endpoints.filter(({ attachment }) => attachment === 'held').length
  return {
    engine,
    plugin,
    networks: networks.sort((a, b) => (a.name < b.name ? -1 : 1)),
    endpoints: { plugged: endpoints.length - held, held },
    orphans: known.waiting.map(({ id, dueMs }) => {
      const endpoint = endpoints.find((each) => each.id === id)
      const kind =
        endpoint === undefined ? 'pool' : endpoint.attachment === 'held' ? 'address' : 'endpoint'
      const engineId = endpoint?.labels[ENGINE_LABELS.endpoint]
      return { kind, id: engineId ?? id, due: new Date(dueMs).toISOString() }
    }),
    hints: known.hints,
  }
}
