/**
 * The kernel's side of the agent, as the rest of the program sees it: plain data goes to a thread of its
 * own, which alone changes the kernel, and what came of it comes back. A second thread deletes links that
 * a detach has put aside, because that can hold the caller for tens of milliseconds (R22).
 */

import type { Kind } from '../hoststate/state.ts'
import type { HostFacts } from '../model/host.ts'
import type { Failure, ObjectChange, Repair } from './reconcile.ts'
import type { Underlay } from './underlay.ts'
import type { UnderlayStart } from './underlay-watch.ts'

/** Packets dropped for one reason at one device. */
export interface DropCounter {
  /** Name of the device: the host end of an endpoint, or where the packets arrived. */
  readonly device: string
  readonly reason: string
  readonly packets: number
  readonly bytes: number
}

export interface Dataplane extends AsyncDisposable {
  /** Makes the kernel agree with these objects; the others stay as they are. */
  apply(changes: readonly ObjectChange[]): Promise<readonly Failure[]>
  /**
   * Makes the kernel agree with these objects and no others, and reads everything again. With
   * `spareOthers` what stands for other hosts stays, though nobody asked for it.
   */
  resync(everything: Iterable<ObjectChange>, spareOthers: boolean): Promise<readonly Failure[]>
  /**
   * Compares these kinds (default: all) with the kernel and puts right what differs. What there is much of
   * is compared afterwards, a part at a time, and told to `onRepair`.
   */
  audit(kinds?: readonly Kind[]): Promise<Repair>
  /** Removes what stands for other hosts and nobody asks for: what `spareOthers` had spared. */
  sweep(): Promise<Repair>
  /** Is told of repairs that a change seen in the kernel brought about. */
  onRepair(listener: (repair: Repair) => void): void
  /** Is told what the cluster needs to know of this kernel: soon, and again whenever it is different. */
  onFacts(listener: (facts: HostFacts) => void): void
  /** Is told of this host's underlay whenever it is another than before. */
  onUnderlay(listener: (underlay: Underlay) => void): void
  drops(): Promise<readonly DropCounter[]>
  /** Sentences for the operator: what this kernel cannot do. */
  readonly warnings: readonly string[]
}

/** What the dataplane's thread is told at its start. */
export interface DataplaneSettings {
  /** Names this run of the daemon: it alone makes the pairs of engines that are asked of it. */
  readonly run: string
  /** Directory on bpffs where maps and programs are pinned, without the schema number. */
  readonly bpfDirectory: string
  /** Directory for what is to be known until the next boot. */
  readonly runDirectory: string
  /** The agent asks for an audit this often; what there is much of is compared spread over this time. */
  readonly auditPeriodMs: number
  readonly underlay: UnderlayStart
  /** A step after which the process kills itself, to prove that the next start repairs it. */
  readonly failpoint?: string
}
