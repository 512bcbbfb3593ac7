/**
 * How this host is reached now, for everything that must follow when that changes: its record in the journal
 * (from which the publisher tells the others), the plan, the store's door and the probes of paths.
 */

import { type Underlay, underlayAddresses, underlayDevices } from '../dataplane/underlay.ts'
import type { Log } from '../lib/log.ts'
import type { IP } from '../net/ip.ts'
import type { Journal } from '../store/journal/journal.ts'
import { describeHost, type HostDescription } from './identity.ts'

export interface OwnUnderlayOptions {
  readonly first: Underlay
  /** What else the host says of itself. */
  readonly description: Omit<HostDescription, 'underlay'>
  readonly journal: Journal
  readonly hostId: string
  readonly log: Log
}

export class OwnUnderlay {
  readonly #options: OwnUnderlayOptions
  readonly #listeners: (() => void)[] = []
  #underlay: Underlay

  constructor(options: OwnUnderlayOptions) {
    this.#options = options
    this.#underlay = options.first
  }

  get addresses(): readonly IP[] {
    return underlayAddresses(this.#underlay).map(({ address }) => address)
  }

  /** Names of the devices towards the other hosts. */
  get devices(): readonly string[] {
    return underlayDevices(this.#underlay)
  }

  /** Sentences for the operator. */
  get warnings(): readonly string[] {
    return this.#underlay.missing.map(
      (address) =>
        `Underlay address ${address} is on no device of this host; it is kept until there is another`,
    )
  }

  /** What this host says of itself, as it is now. */
  describe(): HostDescription {
    const { description } = this.#options
    return { ...description, underlay: underlayAddresses(this.#underlay) }
  }

  /** Is told after the record says that the underlay is another. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener)
  }

  /** Takes over what the dataplane found. */
  follow(underlay: Underlay): void {
    const { journal, hostId, log } = this.#options
    const before = JSON.stringify(this.#underlay)
    if (JSON.stringify(underlay) === before) return
    const lost = underlay.missing.filter((address) => !this.#underlay.missing.includes(address))
    for (const address of lost) log.warn('underlay address lost', { address })
    this.#underlay = underlay
    log.info('underlay changed', { address: this.addresses.join(), device: this.devices.join() })
    describeHost(journal, hostId, this.describe())
    for (const listener of this.#listeners) listener()
  }
}
