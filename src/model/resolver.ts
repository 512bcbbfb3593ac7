/**
 * Where containers and engines ask for names: the same two addresses on every host, so that a setting written
 * once is right everywhere. They are link-local and unique local: nobody routes them. RFC 3927, RFC 4193
 */

import { type IP, parseIP } from '../net/ip.ts'

export const RESOLVER4: IP = fixed('169.254.77.53')
export const RESOLVER6: IP = fixed('fd3b:ca44:1c53::53')

function fixed(text: string): IP {
  const address = parseIP(text)
  if (address === undefined) throw new Error(`${text} does not parse`)
  return address
}
