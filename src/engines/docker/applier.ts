/** Does what the network plan says, on the engine and in the cluster. Every step may be done twice. */

import { isNetworkError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { ENGINE_LABELS } from '../../model/engine-network.ts'
import type { Network } from '../../model/network.ts'
import type { EngineApi } from './engine-api.ts'
import type { FollowerControl } from './engine-control.ts'
import { type NetworkAction, orderOf } from './network-plan.ts'
import { type Memory, RememberedIds } from './remembered-ids.ts'

export interface ApplierDeps {
  readonly api: EngineApi
  readonly control: FollowerControl
  readonly log: Log
  /** Name under which the engine knows this program as a driver. */
  readonly driver: string
  readonly memory: Memory
}

/** Of networks that a user gave no name of ours: the driver is told ids only. */
const NAMELESS = /^docker-[0-9a-z]{12}(-[0-9a-f]{4})?$/

export class Applier {
  readonly #deps: ApplierDeps
  /** Ids of networks of ours that a user took off this engine, and that nobody has decided about. */
  readonly takenAway: RememberedIds
  /** Engine's ids of networks that are being removed here: no user did that. */
  readonly removing = new Set<string>()
  /** Ids of networks of ours that are being made on the engine: one that fails is taken back, by no user. */
  readonly creating = new Set<string>()
  /** What could not be done, by the network's id or the engine's id of it. */
  readonly failures = new Map<string, string>()

  constructor(deps: ApplierDeps) {
    this.#deps = deps
    this.takenAway = new RememberedIds(deps.memory, 'docker.taken-away')
  }

  /** True when all was done; what was not is to be planned again. */
  async apply(actions: readonly NetworkAction[]): Promise<boolean> {
    const before = new Map(this.failures)
    this.failures.clear()
    for (const action of actions) {
      try {
        await this.#do(action)
      } catch (error) {
        if (!isNetworkError(error)) throw error
        const subject = subjectOf(action)
        const usual = before.get(subject) === error.message
        this.failures.set(subject, error.message)
        this.#deps.log[usual ? 'debug' : 'warn']('engine network not as wanted', {
          action: action.kind,
          network: nameOf(action),
          error: error.message,
        })
      }
    }
    return this.failures.size === 0
  }

  async #do(action: NetworkAction): Promise<void> {
    const { api, control, log, driver } = this.#deps
    switch (action.kind) {
      case 'share': {
        const { network, docker } = action
        await control.setNetworkDocker(network.id, docker)
        await this.#name(network.id, docker.name)
        log.info('network of the engine goes to all engines', { network: docker.name })
        return
      }
      case 'note': {
        const { record } = action
        control.bindEngineNetwork(record)
        if (record.name !== undefined) await this.#name(record.networkId, record.name)
        return
      }
      case 'forget':
        this.removing.add(action.engineId)
        control.unbindEngineNetwork(action.engineId)
        this.removing.delete(action.engineId)
        return
      case 'give-up':
        return this.#giveUp(action.network)
      case 'create': {
        const { network, docker } = action
        this.creating.add(network.id)
        using _expected = control.expectNetwork(network.id)
        try {
          await api.createNetwork(orderOf(network, docker, driver))
        } finally {
          this.creating.delete(network.id)
        }
        log.info('network made on the engine', { network: docker.name })
        return
      }
      case 'remove': {
        this.removing.add(action.engineId)
        try {
          await api.removeNetwork(action.engineId)
          control.unbindEngineNetwork(action.engineId)
        } finally {
          this.removing.delete(action.engineId)
        }
        log.info('network removed from the engine', { network: action.name })
        return
      }
    }
  }

  /** Names a network of ours as the engine does, if nobody has named it. */
  async #name(networkId: string, engineName: string): Promise<void> {
    const { control } = this.#deps
    const network = control.listNetworks().find(({ id }) => id === networkId)
    if (network === undefined || !NAMELESS.test(network.name)) return
    await control.renameNetwork(networkId, control.networkNameFor(engineName))
  }

  /** A user removed it here: while endpoints use it anywhere it comes back, else it goes everywhere. */
  async #giveUp(network: Network): Promise<void> {
    const { control, log } = this.#deps
    const { id, name, docker } = network
    this.takenAway.add(id)
    const endpoints = control.listEndpoints({ network: id })
    const users = endpoints.filter(({ labels }) => labels[ENGINE_LABELS.aux] === undefined)
    const hosts = new Set(users.map(({ hostId }) => hostId))
    if (hosts.size === 0) {
      try {
        if (docker?.takenUp === true) await this.#letGo(id)
        else {
          // What an engine has set aside it lets go of with the network; then this is done again.
          if (docker !== undefined && endpoints.length > 0) {
            await control.setNetworkDocker(id, undefined)
          }
          await control.removeNetwork(id)
        }
      } catch (error) {
        if (!isNetworkError(error, 'not-found')) throw error
      }
      log.info('network removed from all engines', { network: docker?.name ?? name })
    } else {
      const names = new Map(control.listHosts().map(({ host }) => [host.id, host.name]))
      const where = [...hosts].map((host) => names.get(host) ?? host).sort()
      log.warn('network comes back to the engine: endpoints use it', {
        network: docker?.name ?? name,
        hosts: where.join(','),
      })
    }
    this.takenAway.delete(id)
  }

  /** Takes a network off the engines that was there before; forgotten first, lest it be removed after a crash. */
  async #letGo(id: string): Promise<void> {
    this.takenAway.delete(id)
    try {
      await this.#deps.control.setNetworkDocker(id, undefined)
    } catch (error) {
      this.takenAway.add(id)
      throw error
    }
  }
}

function subjectOf(action: NetworkAction): string {
  switch (action.kind) {
    case 'note':
      return action.record.networkId
    case 'forget':
    case 'remove':
      return action.engineId
    default:
      return action.network.id
  }
}

function nameOf(action: NetworkAction): string {
  switch (action.kind) {
    case 'note':
      return action.record.name ?? action.record.id
    case 'remove':
      return action.name
    case 'forget':
      return action.engineId
    default:
      return action.network.docker?.name ?? action.network.name
  }
}
