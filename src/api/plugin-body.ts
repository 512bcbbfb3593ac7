/** What the doors beside the REST API have in common, where processes of plug-ins hand on how they were called. */

import { STDIN_BYTES } from '../cni/exchange.ts'
import { readBytes } from './request-bytes.ts'

/** Longer than parts of the daemon take to start by themselves; shorter than such a process waits. */
export const PATIENCE_MS = 4_000
/** Standard input as JSON text, where every character may be six, and the variables. */
const BODY_BYTES = 6 * STDIN_BYTES + 64 * 1024

/** What was sent, or why it is not read. */
export async function bodyOf(request: Request): Promise<Uint8Array | Response> {
  // A page in a browser could not mean well.
  if (request.method !== 'POST' || request.headers.has('origin')) return refusal(405)
  return (await readBytes(request, BODY_BYTES)) ?? refusal(413)
}

/** Its process takes that for no answer at all. */
export function refusal(status: number): Response {
  return new Response(null, { status })
}
