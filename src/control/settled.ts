/** Waiting until the kernel agrees with a commit of the journal. */

import { ERROR_CODES, NetworkError } from '../lib/errors.ts'
import type { Endpoint } from '../model/endpoint.ts'
import type { ObjectFailure } from '../model/host.ts'
import type { Publication } from '../model/publication.ts'
import type { Ports } from './control.ts'

export interface SettleDeps {
  readonly ports: Pick<Ports, 'settler'>
  /** How long the kernel has to agree with a change, in milliseconds. */
  readonly settleMs: number
}

/** What a commit was about. */
export interface Committed {
  readonly endpoints?: readonly Endpoint[]
  readonly publications?: readonly Publication[]
}

/** Waits for the kernel; throws what kept it from agreeing, or `timeout`. */
export async function untilSettled(
  { ports, settleMs }: SettleDeps,
  revision: number,
  { endpoints = [], publications = [] }: Committed,
): Promise<void> {
  const failures = await ports.settler.settled(revision, settleMs)
  if (failures.length === 0) return
  for (const { id } of endpoints) refuse(failures, 'endpoint', id)
  for (const { id } of publications) refuse(failures, 'publication', id)
}

function refuse(failures: readonly ObjectFailure[], kind: string, id: string): void {
  const failure = failures.find(({ object }) => object === `${kind}/${id}`)
  if (failure === undefined) return
  const code = ERROR_CODES.find((known) => known === failure.code) ?? 'kernel'
  throw new NetworkError(code, failure.message, { details: { [kind]: id } })
}
