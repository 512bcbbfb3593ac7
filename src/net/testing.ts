/** Values of this room from text that a test knows to be right. */

import { type IP, parseIP } from './ip.ts'
import { type Mac, parseMac } from './mac.ts'
import { type Prefix, parsePrefix } from './prefix.ts'

export function ip(text: string): IP {
  const parsed = parseIP(text)
  if (parsed === undefined) throw new Error(`not an address: ${text}`)
  return parsed
}

export function prefix(text: string): Prefix {
  const parsed = parsePrefix(text)
  if (parsed === undefined) throw new Error(`not a prefix: ${text}`)
  return parsed
}

export function mac(text: string): Mac {
  const parsed = parseMac(text)
  if (parsed === undefined) throw new Error(`not a MAC address: ${text}`)
  return parsed
}
