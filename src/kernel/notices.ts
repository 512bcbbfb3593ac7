/**
 * What a namespace tells about its own changes: the plain types behind `KernelView.watch`. Notices say what
 * is now, not who did it; a watcher that hears `lost` has missed some and must list again.
 */
import type { Address, Link, Neighbour, Route } from './kernel.ts'

export type NoticeGroup = 'links' | 'addresses' | 'routes' | 'rules' | 'neighbours' | 'tc' | 'nft'

export type Notice =
  | { readonly kind: 'link'; readonly change: 'put' | 'remove'; readonly link: Link }
  | { readonly kind: 'address'; readonly change: 'put' | 'remove'; readonly address: Address }
  | { readonly kind: 'route'; readonly change: 'put' | 'remove'; readonly route: Route }
  /** A rule by which a routing table is chosen; which one matters to nobody. */
  | { readonly kind: 'rule'; readonly change: 'put' | 'remove' }
  | { readonly kind: 'neighbour'; readonly change: 'put' | 'remove'; readonly neighbour: Neighbour }
  /** A qdisc or a filter; `device` is undefined for the filter of a shared block. */
  | {
      readonly kind: 'tc'
      readonly change: 'put' | 'remove'
      readonly object: 'qdisc' | 'filter'
      readonly device: number | undefined
    }
  /** Something in this nft table changed; told when the whole transaction is done. */
  | {
      readonly kind: 'nft'
      /** Undefined when the message names none. */
      readonly table: string | undefined
      /** True when only elements of sets and maps did. */
      readonly elements: boolean
      /** True when the thread that hears it did it. */
      readonly own: boolean
    }
  /** The queue overran: everything may have changed. */
  | { readonly kind: 'lost' }
