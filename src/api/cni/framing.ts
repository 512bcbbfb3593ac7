/**
 * How a call comes from `client.c`, and how it is answered: texts that end with a zero, for a reader of a few lines.
 * What has a zero inside is no text, and no such call.
 */

import type { CniReply, CniRequest } from '../../cni/exchange.ts'

/** Type of the content of both. */
export const FRAMED = 'application/octet-stream'

/** Variables as `execve` takes them, each ended by a zero; one more; then standard input. Undefined for others. */
export function readFramed(bytes: Uint8Array): CniRequest | undefined {
  const environment: Record<string, string> = {}
  try {
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    for (let at = 0; ; ) {
      const end = bytes.indexOf(0, at)
      if (end < 0) return undefined
      if (end === at) {
        return { version: 1, environment, stdin: decoder.decode(bytes.subarray(end + 1)) }
      }
      const text = decoder.decode(bytes.subarray(at, end))
      const equals = text.indexOf('=')
      if (equals < 1) return undefined
      environment[text.slice(0, equals)] = text.slice(equals + 1)
      at = end + 1
    }
  } catch {
    return undefined // not UTF-8: the process finds that itself
  }
}

/** Exit code, standard output and standard error. */
export function writeFramed({ exit, stdout, stderr = '' }: CniReply): Response {
  const headers = { 'content-type': FRAMED }
  return new Response(`${exit}\0${stdout}\0${stderr}\0`, { headers })
}
