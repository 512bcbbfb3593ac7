/**
 * Routes and underlays of hosts that overlap a network though nobody insisted: they came after it. Every host
 * warns of all of them, from the facts that hosts publish; a warning goes with its route.
 */

import type { Network } from '../model/network.ts'
import { type Overlap, overlapText } from '../model/overlap.ts'
import type { Replica, ReplicaChange } from '../store/replica/replica.ts'
import { findOverlaps } from './overlap.ts'

/** More sentences than this nobody reads. */
const MOST = 20

export class OverlapWarnings implements Disposable {
  readonly #replica: Replica
  readonly #stop: () => void
  #known: readonly string[] | undefined

  constructor(replica: Replica) {
    this.#replica = replica
    this.#stop = replica.subscribe((changes) => this.#changed(changes))
  }

  [Symbol.dispose](): void {
    this.#stop()
  }

  /** One sentence each; found anew only after something they depend on has changed. */
  get all(): readonly string[] {
    this.#known ??= this.#find()
    return this.#known
  }

  #changed(changes: readonly ReplicaChange[]): void {
    if (changes.some(({ kind }) => ['network', 'host', 'facts', 'all'].includes(kind))) {
      this.#known = undefined
    }
  }

  #find(): readonly string[] {
    const { networks, hosts, facts } = this.#replica
    const sentences: string[] = []
    let more = 0
    for (const network of networks()) {
      for (const overlap of findOverlaps(network.prefixes, {
        networks: [],
        hosts: hosts(),
        facts,
      })) {
        if (wasForced(network, overlap)) continue
        if (sentences.length < MOST) sentences.push(sentence(network, overlap))
        else more++
      }
    }
    return more === 0 ? sentences : [...sentences, `${more} more overlaps of networks with routes`]
  }
}

function sentence({ name }: Network, overlap: Overlap): string {
  return `Network ${name}: ${overlapText(overlap)}: its containers cannot reach what lies there`
}

function wasForced({ forced }: Network, { other, host, device }: Overlap): boolean {
  return (forced?.overlaps ?? []).some(
    (known) => known.other === other && known.host === host && known.device === device,
  )
}
