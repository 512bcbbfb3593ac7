/**
 * How a network's carrier changes under traffic: a receiver must accept what a sender may already send. First
 * every host accepts the new carrier as well; then they send by it; then the old one is no longer accepted. Each
 * step is one write of the record, made once the hosts have what the step before wrote. The record says where
 * the change is, so that whoever finds it half done can finish it. Pure.
 */

import type { Carrier, Network } from '../model/network.ts'

export interface CarrierStep {
  /** The record to write. */
  readonly network: Network
  /** True when every host must have applied the present record first. */
  readonly afterAll: boolean
  /** True when packets of a host that has not applied the present record would be lost for good by it. */
  readonly last: boolean
}

/** What is to be written next on the way to `target`; undefined at the end. */
export function nextCarrierStep(network: Network, target: Carrier): CarrierStep | undefined {
  const { carrier, alsoAccepts, ...rest } = network
  if (carrier === target) {
    if (alsoAccepts === undefined) return undefined
    return { network: { ...rest, carrier }, afterAll: true, last: true }
  }
  if (alsoAccepts === target) {
    const next = { ...rest, carrier: target, alsoAccepts: carrier }
    return { network: next, afterAll: true, last: false }
  }
  // Another change was left half done: until all hosts send by the present carrier, its other one is needed.
  const afterAll = alsoAccepts !== undefined
  return { network: { ...rest, carrier, alsoAccepts: target }, afterAll, last: false }
}
