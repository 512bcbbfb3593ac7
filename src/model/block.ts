/** Address ownership: blocks that one host allocates from alone, and single addresses claimed outside them. */

import type { IP } from '../net/ip.ts'
import type { Prefix } from '../net/prefix.ts'

export interface Block {
  readonly schema: 1
  readonly networkId: string
  readonly prefix: Prefix
  readonly hostId: string
  /** Epoch of the owner at the claim; a reclaim gives the block to another with a higher one (R9). */
  readonly epoch: number
}

/** One address outside every block, claimed by a transaction (R5). */
export interface AddressClaim {
  readonly schema: 1
  readonly networkId: string
  readonly address: IP
  readonly hostId: string
  readonly endpointId: string
}
