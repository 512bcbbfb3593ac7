/** A reservation: addresses of a network that only endpoints of one name get, on whichever host they start. */

import type { IP } from '../net/ip.ts'

export interface Reservation {
  readonly schema: 1
  readonly networkId: string
  /** Name of the endpoint the addresses are kept for; one reservation per name and network. */
  readonly name: string
  /** At least one, at most one per family. */
  readonly addresses: readonly IP[]
  readonly createdAt: string
}
