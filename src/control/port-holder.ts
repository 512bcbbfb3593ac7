/**
 * Which ports of this host are published or about to be, each held by the host while it is. A port stays held
 * until the kernel no longer leads it anywhere; who wants it meanwhile waits. After a start every own
 * publication's port is taken again: one that a program has taken meanwhile is told as a failure and tried
 * again, while its traffic goes on.
 */

import { type Clock, timestamp } from '../lib/clock.ts'
import { type ErrorCode, isNetworkError, messageOf, NetworkError } from '../lib/errors.ts'
import { isPodmans, PODMANS_HOLDER } from '../model/cni.ts'
import type { ObjectFailure } from '../model/host.ts'
import {
  type HostPortRange,
  hostPortsOverlap,
  hostPortsText,
  type Publication,
} from '../model/publication.ts'
import type { Replica, ReplicaChange } from '../store/replica/replica.ts'
import type { Ports } from './control.ts'
import { holderName } from './holder-name.ts'
import type { HeldPorts, PortRequest } from './host-ports.ts'
import type { CheckedPort } from './publish-spec.ts'

const RETRY_MS = { first: 1_000, last: 30_000 }

export interface PortHolderDeps {
  readonly replica: Replica
  readonly ports: Pick<Ports, 'hostPorts' | 'settler'>
  readonly clock: Clock
  readonly hostId: string
  /** Sequence of the journal's last commit. */
  readonly sequence: () => number
  /** How long the kernel has to agree with a change. */
  readonly settleMs: number
}

/** Ports held for a publication, which is about to be made, stands, or is going. */
interface Hold extends HostPortRange {
  readonly id: string
  /** Undefined until its publication was seen. */
  endpointId: string | undefined
  /** Undefined while somebody else has the port. */
  ports: HeldPorts | undefined
  /** Resolves when the port is free again; undefined before its publication went. */
  leaving: Promise<void> | undefined
}

export class PortHolder implements AsyncDisposable {
  readonly #deps: PortHolderDeps
  readonly #holds = new Map<string, Hold>()
  /** Those of them that are leaving. */
  readonly #leaving = new Set<Hold>()
  readonly #failures = new Map<string, ObjectFailure>()
  readonly #closing = new AbortController()
  readonly #stop: () => void
  #retrying: Promise<void> | undefined

  constructor(deps: PortHolderDeps) {
    this.#deps = deps
    for (const { id } of deps.replica.publicationsOfHost(deps.hostId)) this.#read(id)
    this.#stop = deps.replica.subscribe((changes) => this.#changed(changes))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop()
    this.#closing.abort(new Error('closing'))
    await this.#retrying
  }

  /** Own publications whose ports are not held, and why. */
  get failures(): readonly ObjectFailure[] {
    return [...this.#failures.values()]
  }

  /** Waits until nothing that is going holds one of the ports any more. */
  async vacated(wanted: readonly CheckedPort[]): Promise<void> {
    for (;;) {
      const leaving = [...this.#leaving].flatMap((hold) =>
        wanted.some((port) => hostPortsOverlap(hold, port)) ? (hold.leaving ?? []) : [],
      )
      if (leaving.length === 0) return
      await Promise.all(leaving)
    }
  }

  /** Waits until the ports of a publication that went are free. */
  async left(id: string): Promise<void> {
    await this.#holds.get(id)?.leaving
  }

  /** The same for all publications of an endpoint that went. */
  async leftBy(endpointId: string): Promise<void> {
    const holds = [...this.#leaving].filter((hold) => hold.endpointId === endpointId)
    await Promise.all(holds.map(({ leaving }) => leaving))
  }

  /**
   * Takes the port for the publication `id`, and gives its first number. It is let go by `cancel`, or after the
   * publication went. `podmans`: it is left to Podman, which holds it a moment later, or has held it all the time
   * (`podman network reload`). Throws `already-exists` when it is published already, and what `HostPorts.reserve`
   * throws.
   */
  take(id: string, port: CheckedPort, podmans = false): number {
    if (port.hostPort !== 0) this.#refusePublished(port)
    const ports = podmans ? this.#leave(port) : this.#deps.ports.hostPorts.reserve(requestOf(port))
    const { protocol, hostAddress, count } = port
    const range = { protocol, hostAddress, hostPort: ports.port, count }
    try {
      this.#refusePublished(range) // one whose port is not held may have been chosen
    } catch (error) {
      ports.release()
      throw error
    }
    this.#holds.set(id, { id, ...range, ports, endpointId: undefined, leaving: undefined })
    return ports.port
  }

  /** Lets go of a port whose publication was not made. */
  cancel(id: string): void {
    if (this.#deps.replica.publication(id) !== undefined) return
    const hold = this.#holds.get(id)
    if (hold === undefined || hold.leaving !== undefined) return
    this.#holds.delete(id)
    hold.ports?.release()
  }

  /** Looks whether Podman can have the port. */
  #leave(port: CheckedPort): HeldPorts {
    try {
      const ports = this.#deps.ports.hostPorts.reserve(requestOf(port))
      ports.release()
      return { port: ports.port, release: () => undefined }
    } catch (error) {
      if (!isHeldByPodman(error)) throw error
      return { port: port.hostPort, release: () => undefined }
    }
  }

  #refusePublished(port: HostPortRange): void {
    const { replica } = this.#deps
    for (const hold of this.#holds.values()) {
      if (!hostPortsOverlap(hold, port)) continue
      const publication = replica.publication(hold.id)
      const endpoint = publication && replica.endpoint(publication.endpointId)
      const network = publication && replica.network(publication.networkId)
      const who =
        publication === undefined
          ? 'an endpoint being attached'
          : `${endpoint === undefined ? `endpoint ${publication.endpointId}` : holderName(endpoint)} of network ${network?.name ?? publication.networkId}`
      throw new NetworkError(
        'already-exists',
        `Cannot publish ${hostPortsText(port)}: ${hostPortsText(hold)} is published for ${who}`,
        {
          details: {
            port: hostPortsText(hold),
            publication: hold.id,
            endpoint: publication?.endpointId,
            network: network?.name,
          },
          hint: 'carrick publish ls',
        },
      )
    }
  }

  #changed(changes: readonly ReplicaChange[]): void {
    for (const change of changes) {
      // own records come from the journal, one by one: a new listing of the store has none of them
      if (change.kind !== 'publication' || change.hostId !== this.#deps.hostId) continue
      this.#read(change.id)
    }
  }

  /** Holds what appeared without being asked for (at a start, by adoption), and lets go of what went. */
  #read(id: string): void {
    const publication = this.#deps.replica.publication(id)
    const hold = this.#holds.get(id)
    if (publication !== undefined && hold === undefined) {
      const { protocol, hostAddress, hostPort, count, endpointId } = publication
      const range = { id, protocol, hostAddress, hostPort, count, endpointId }
      this.#holds.set(id, { ...range, ports: undefined, leaving: undefined })
      this.#hold(id)
    }
    if (publication !== undefined && hold !== undefined) hold.endpointId = publication.endpointId
    if (publication === undefined && hold !== undefined) {
      this.#failures.delete(id)
      this.#leaving.add(hold)
      hold.leaving ??= this.#letGo(hold)
    }
  }

  /** Waits for the kernel: until then the port leads to the container. */
  async #letGo(hold: Hold): Promise<void> {
    const { ports, sequence, settleMs } = this.#deps
    const gone = sequence()
    await Promise.resolve() // the loop hears of the commit in this turn, perhaps after us
    // When the kernel does not agree in time that is told elsewhere; the port is nobody's all the same.
    await ports.settler.settled(gone, settleMs).catch(() => undefined)
    hold.ports?.release()
    this.#holds.delete(hold.id)
    this.#leaving.delete(hold)
  }

  #hold(id: string): void {
    const publication = this.#deps.replica.publication(id)
    const hold = this.#holds.get(id)
    if (publication === undefined || hold === undefined) return
    try {
      hold.ports = this.#deps.ports.hostPorts.reserve(requestOf(publication))
      this.#failures.delete(id)
    } catch (error) {
      const endpoint = this.#deps.replica.endpoint(publication.endpointId)
      if (endpoint !== undefined && isPodmans(endpoint.labels) && isHeldByPodman(error)) {
        this.#failures.delete(id)
        return
      }
      this.#failed(id, isNetworkError(error) ? error.code : 'kernel', messageOf(error))
      this.#retrying ??= this.#retry()
    }
  }

  #failed(id: string, code: ErrorCode, message: string): void {
    const before = this.#failures.get(id)
    this.#failures.set(id, {
      object: `publication/${id}`,
      code,
      message: `${message}; what arrives there still goes to the container`,
      since: before?.since ?? timestamp(this.#deps.clock.wallMs()),
      attempts: (before?.attempts ?? 0) + 1,
    })
  }

  async #retry(): Promise<void> {
    const { signal } = this.#closing
    for (let waitMs = RETRY_MS.first; this.#failures.size > 0; ) {
      await this.#deps.clock.sleep(waitMs, signal).catch(() => undefined)
      if (signal.aborted) return
      for (const id of this.#failures.keys()) this.#hold(id)
      waitMs = Math.min(waitMs * 2, RETRY_MS.last)
    }
    this.#retrying = undefined
  }
}

function isHeldByPodman(error: unknown): boolean {
  return isNetworkError(error, 'conflict') && error.details['program'] === PODMANS_HOLDER
}

function requestOf({
  protocol,
  hostAddress,
  hostPort,
  count,
}: CheckedPort | Publication): PortRequest {
  const address = hostAddress === undefined ? {} : { address: hostAddress }
  return { protocol, ...address, port: hostPort, count }
}
