/**
 * Whether this host may still give addresses (R9). It may while its own record stands in the store as it
 * was written. It may not once an operator removed it or raised its epoch; nor while the agent distrusts its
 * own state: a clone lives under the same id, or the disk is older than what was published. What was learnt of
 * a removal survives a restart without the store.
 */

import { NetworkError } from '../lib/errors.ts'
import { keys } from '../model/keys.ts'
import type { Journal } from '../store/journal/journal.ts'
import type { KeyValue } from '../store/store.ts'

/** Settings of the journal; the host id is part of each, so that a new identity begins afresh. */
const REGISTERED = 'fence.registered.'
const FENCED = 'fence.reason.'

export interface FenceDeps {
  readonly journal: Journal
  readonly hostId: string
  /** Any other reason not to allocate: a clone lives under this id, or the disk is old. */
  readonly distrust?: () => string | undefined
}

export class Fence {
  readonly #deps: FenceDeps
  #fenced: string | undefined
  #registered: boolean

  constructor(deps: FenceDeps) {
    this.#deps = deps
    const { journal, hostId } = deps
    this.#fenced = journal.settings.get(FENCED + hostId)
    this.#registered = journal.settings.get(REGISTERED + hostId) !== undefined
  }

  /** Epoch under which this host claims: that of its own record. */
  get epoch(): number {
    const text = this.#deps.journal.get(keys.host(this.#deps.hostId))
    return text === undefined ? 0 : epochOf(text)
  }

  /** Takes note of this host's own record in the shared store, or of its absence. */
  saw(record: KeyValue | undefined): void {
    const { journal, hostId } = this.#deps
    if (record === undefined) {
      if (this.#registered) this.#fence('this host was removed from the cluster')
      return
    }
    if (!this.#registered) journal.settings.set(REGISTERED + hostId, 'yes')
    this.#registered = true
    if (epochOf(record.value) > this.epoch) this.#fence('the addresses of this host were reclaimed')
  }

  #fence(reason: string): void {
    if (this.#fenced === reason) return
    this.#fenced = reason
    this.#deps.journal.settings.set(FENCED + this.#deps.hostId, reason)
  }

  /** Why this host must not allocate; undefined when it may. */
  get reason(): string | undefined {
    return this.#fenced ?? this.#deps.distrust?.()
  }

  /** Throws `conflict` when this host must not allocate. */
  check(attempted: string): void {
    const { reason } = this
    if (reason === undefined) return
    throw new NetworkError('conflict', `Cannot ${attempted}: ${reason}`, {
      details: { host: this.#deps.hostId },
      hint: 'carrick status',
    })
  }
}

function epochOf(text: string): number {
  const record: unknown = JSON.parse(text)
  const epoch = record !== null && typeof record === 'object' && 'epoch' in record && record.epoch
  return typeof epoch === 'number' ? epoch : 0
}
