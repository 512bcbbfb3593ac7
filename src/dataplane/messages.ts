/** What the agent's thread and the dataplane's threads say to each other: plain data. */

import type { Kind } from '../hoststate/state.ts'
import type { HostFacts } from '../model/host.ts'
import type { DataplaneSettings, DropCounter } from './dataplane.ts'
import type { OwedFlow } from './owed-flows.ts'
import type { Aside } from './put-aside.ts'
import type { Failure, ObjectChange, Repair } from './reconcile.ts'
import type { Underlay } from './underlay.ts'

export type Request =
  | {
      readonly kind: 'start'
      readonly settings: DataplaneSettings
      /** Of `RightOfWay`; taken for each request to apply that makes pairs. */
      readonly rightOfWay: SharedArrayBuffer
    }
  | {
      readonly kind: 'apply'
      readonly changes: readonly ObjectChange[]
      /** Namespaces held open by requests under way: inode and descriptor. */
      readonly held: readonly (readonly [number, number])[]
      /** The right of way was taken for it, and is to be given back. */
      readonly hasWay: boolean
    }
  /** A part of everything; nothing is done before `resync`. */
  | { readonly kind: 'announce'; readonly changes: readonly ObjectChange[] }
  /** Everything was announced. */
  | {
      readonly kind: 'resync'
      readonly held: readonly (readonly [number, number])[]
      readonly spareOthers: boolean
    }
  | { readonly kind: 'audit'; readonly kinds: readonly Kind[] }
  | { readonly kind: 'sweep' }
  | { readonly kind: 'drops' }
  | { readonly kind: 'stop' }

export interface Answers {
  readonly start: { readonly warnings: readonly string[] }
  /** With what the reaper has to do before the change counts as made. */
  readonly apply: {
    readonly failures: readonly Failure[]
    readonly asides: readonly Aside[]
    readonly stale: readonly OwedFlow[]
  }
  readonly announce: null
  readonly resync: { readonly failures: readonly Failure[] }
  readonly audit: Repair
  readonly sweep: Repair
  readonly drops: readonly DropCounter[]
  readonly stop: null
}

export interface Numbered {
  readonly id: number
  readonly request: Request
}

/** An error as data: NetworkError does not survive the way between threads. */
export interface ErrorData {
  readonly code: string
  readonly message: string
  readonly hint: string | undefined
  readonly details: Readonly<Record<string, unknown>>
}

export type Reply =
  | { readonly kind: 'answer'; readonly id: number; readonly answer: Answers[Request['kind']] }
  | { readonly kind: 'error'; readonly id: number; readonly error: ErrorData }
  /** Drift that a notice of the kernel brought to light was put right. */
  | { readonly kind: 'repair'; readonly repair: Repair }
  /** What only this kernel knows is different: the first time, and after each change. */
  | { readonly kind: 'facts'; readonly facts: HostFacts }
  | { readonly kind: 'underlay'; readonly underlay: Underlay }
  /** Pairs are marked as dying, or connections to be forgotten, and nobody waits for it. */
  | { readonly kind: 'left'; readonly stale: readonly OwedFlow[] }
  /** What a firewall keeps us from, as of now. */
  | { readonly kind: 'obstacles'; readonly warnings: readonly string[] }
