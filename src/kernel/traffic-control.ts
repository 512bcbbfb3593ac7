/** Traffic control as far as it is needed: the clsact hook, shared blocks and BPF filters, and token buckets. */

/** The hook for programs on a device. Its sides may join shared blocks, whose filters count for all. */
export interface Clsact {
  readonly device: number
  /** Block number from 1; numbers are the namespace's, and a block lives while some device is in it. */
  readonly ingressBlock: number | undefined
  readonly egressBlock: number | undefined
}

export interface Qdiscs {
  /** Devices with a clsact qdisc. */
  list(filter?: { readonly device?: number }): readonly Clsact[]
  /** Corrects a device in other blocks by taking the hook away first: packets then pass without program. */
  put(clsact: {
    readonly device: number
    readonly ingressBlock?: number
    readonly egressBlock?: number
  }): void
  remove(clsact: { readonly device: number }): void
}

/** A token bucket at the root of a device: what the device sends beyond the rate waits, or is dropped. tc-tbf(8) */
export interface Shaper {
  readonly device: number
  /** 1 to 65535, by which its maker knows it again. */
  readonly handle: number
  /** Link headers included. */
  readonly bytesPerSecond: number
  /** What may pass at once after a rest; less than a packet cuts super-packets. Read back, it is rounded. */
  readonly burstBytes: number
  /** How much may wait. */
  readonly queueBytes: number
}

export interface Shapers {
  /** Those with this handle, of all devices or of one. */
  list(filter: { readonly handle: number; readonly device?: number }): readonly Shaper[]
  /** Changes it in place where it stands; puts it in the place of whatever else is at the root. */
  put(shaper: Shaper): void
  remove(shaper: Pick<Shaper, 'device' | 'handle'>): void
}

export type FilterPlace =
  | { readonly device: number; readonly direction: 'ingress' | 'egress' }
  | { readonly block: number }

/** A program whose return value is the verdict (direct action), for packets of all protocols. */
export interface Filter {
  readonly place: FilterPlace
  /** 1 to 65535; lower is asked first. */
  readonly priority: number
  readonly handle: number
  readonly name: string
  readonly programId: number
  /** The first 8 bytes of the program's hash, in hex. */
  readonly programTag: string
}

export interface Filters {
  list(place: FilterPlace): readonly Filter[]
  /** Replaces in one step what stands at that priority and handle: no packet passes without program. */
  put(
    filter: Pick<Filter, 'place' | 'priority' | 'handle' | 'name'> & { readonly programFd: number },
  ): void
  remove(filter: Pick<Filter, 'place' | 'priority' | 'handle'>): void
}
