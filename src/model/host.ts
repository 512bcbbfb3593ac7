/** A host: a machine with its own agent, and what others must know of it to send it packets. */

import type { IP } from '../net/ip.ts'
import type { Mac } from '../net/mac.ts'
import type { Prefix } from '../net/prefix.ts'
import type { PathReport } from './path.ts'

/** Permanent; written by its host, removed only by an operator (R1). */
export interface Host {
  readonly schema: 1
  /** Made when the host joins and never changed; the name is an attribute (R9). */
  readonly id: string
  readonly name: string
  /** Cluster-wide small number from a counter that only grows; the datapath's endpoints point to it. */
  readonly index: number
  /** Underlay addresses where VXLAN packets are received, at most one per family, the preferred first. */
  readonly underlay: readonly UnderlayAddress[]
  readonly vxlanPort: number
  readonly carriers: readonly string[]
  readonly version: string
  /** Number of the last entry of the host's journal that is in the store (R9). */
  readonly publishedSequence: number
  /** Raised by an operator's reclaim: writes of an older epoch are refused (R9). */
  readonly epoch: number
}

export interface UnderlayAddress {
  readonly address: IP
  /** The on-link prefix: two hosts that share it may use the direct carrier. */
  readonly prefix: Prefix
  /** MAC of the device, by which the direct carrier recognises its peers (R31). */
  readonly mac: Mac
  readonly mtuBytes: number
}

/** On a lease; status only: the plan never reads it (R1). */
export interface Alive {
  readonly bootId: string
  /** Random per daemon start: a second live one with the same host id is a clone (R9). */
  readonly instance: string
  readonly since: string
}

/** What control needs to know and only the host's kernel knows. */
export interface HostFacts {
  readonly schema: 1
  /** Destinations of the routes of the main table that are not ours, with their device. */
  readonly routes: readonly { readonly prefix: Prefix; readonly device: string }[]
}

/** How far a host has come, and what it could not do. */
export interface HostStatus {
  readonly schema: 1
  /** Revision of the shared store that the kernel reflects. */
  readonly appliedRevision: number
  readonly endpoints: number
  readonly failures: readonly ObjectFailure[]
  /** Absent: of a version that does not probe. Those with problems first, when there are too many. */
  readonly paths?: readonly PathReport[]
  readonly updatedAt: string
}

export interface ObjectFailure {
  /** Key of the object in HostState, such as `endpoint/<id>`. */
  readonly object: string
  readonly code: string
  readonly message: string
  readonly since: string
  readonly attempts: number
}
