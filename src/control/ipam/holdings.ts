/**
 * What this host owns of a network: its blocks and its single addresses, from the replica, with what it has
 * just won and the replica does not show yet, and without what it is giving back.
 */

import type { IP } from '../../net/ip.ts'
import type { Prefix } from '../../net/prefix.ts'
import type { Replica } from '../../store/replica/replica.ts'
import type { Ledger } from './ledger.ts'

interface Won {
  readonly networkId: string
  readonly block?: Prefix
  readonly address?: IP
  /** The id of the endpoint a single address was claimed for. */
  readonly endpointId?: string
  readonly revision: number
}

export interface Holding {
  readonly blocks: ReadonlySet<Prefix>
  /** Own single addresses, with the endpoint each was claimed for. */
  readonly addresses: ReadonlyMap<IP, string>
  /** Blocks of other hosts, with their owner. */
  readonly foreignBlocks: ReadonlyMap<Prefix, string>
  /** Single addresses of other hosts, with their owner. */
  readonly foreignAddresses: ReadonlyMap<IP, string>
}

export interface HoldingsDeps {
  readonly replica: Replica
  readonly ledger: Ledger
  readonly hostId: string
  readonly epoch: () => number
}

export class Holdings {
  readonly #deps: HoldingsDeps
  readonly #won = new Map<string, Won>()

  constructor(deps: HoldingsDeps) {
    this.#deps = deps
  }

  wonBlock(networkId: string, block: Prefix, revision: number): void {
    this.#deps.ledger.forgetReturn(networkId, block)
    this.#won.set(`${networkId} ${block}`, { networkId, block, revision })
  }

  wonAddress(networkId: string, address: IP, endpointId: string, revision: number): void {
    this.#deps.ledger.forgetReturn(networkId, address)
    this.#won.set(`${networkId} ${address}`, { networkId, address, endpointId, revision })
  }

  /** Given back, or found to be gone. */
  lost(networkId: string, what: Prefix | IP): void {
    this.#won.delete(`${networkId} ${what}`)
  }

  /** The store went back in time: what it does not show now was never won. */
  forgetWon(): void {
    this.#won.clear()
  }

  of(networkId: string): Holding {
    const { replica, ledger, hostId, epoch } = this.#deps
    const blocks = new Set<Prefix>()
    const foreignBlocks = new Map<Prefix, string>()
    const addresses = new Map<IP, string>()
    const foreignAddresses = new Map<IP, string>()
    for (const block of replica.blocks(networkId)) {
      if (block.hostId !== hostId) foreignBlocks.set(block.prefix, block.hostId)
      else if (block.epoch === epoch()) {
        const returned = ledger.isReturned(networkId, block.prefix, replica.revision)
        if (!returned) blocks.add(block.prefix)
      }
    }
    for (const claim of replica.addressClaims(networkId)) {
      if (claim.hostId === hostId) {
        const returned = ledger.isReturned(networkId, claim.address, replica.revision)
        if (!returned) addresses.set(claim.address, claim.endpointId)
      } else foreignAddresses.set(claim.address, claim.hostId)
    }
    for (const [key, won] of this.#won) {
      if (won.revision <= replica.revision) this.#won.delete(key)
      else if (won.networkId !== networkId) continue
      else if (won.block !== undefined) blocks.add(won.block)
      else if (won.address !== undefined) addresses.set(won.address, won.endpointId ?? '')
    }
    return { blocks, addresses, foreignBlocks, foreignAddresses }
  }
}
