/**
 * What all rtnetlink messages share: their types, the families' numbers, and text to bytes at the edge.
 * linux/rtnetlink.h
 */
import { NetworkError } from '../../lib/errors.ts'
import { type Family, parseIPBytes } from '../../net/ip.ts'
import { macBytes, macFromBytes, parseMac } from '../../net/mac.ts'
import { parsePrefixBytes } from '../../net/prefix.ts'
import type { Scope } from '../kernel.ts'

export const RTM = {
  NEWLINK: 16,
  DELLINK: 17,
  GETLINK: 18,
  SETLINK: 19,
  NEWADDR: 20,
  DELADDR: 21,
  GETADDR: 22,
  NEWROUTE: 24,
  DELROUTE: 25,
  GETROUTE: 26,
  NEWNEIGH: 28,
  DELNEIGH: 29,
  GETNEIGH: 30,
  NEWRULE: 32,
  DELRULE: 33,
  GETRULE: 34,
  NEWQDISC: 36,
  DELQDISC: 37,
  GETQDISC: 38,
  NEWTFILTER: 44,
  DELTFILTER: 45,
  GETTFILTER: 46,
} as const

export const AF_INET = 2
export const AF_INET6 = 10

export function familyNumber(family: Family): number {
  return family === 4 ? AF_INET : AF_INET6
}

/** The family of a number from the wire; undefined for MPLS, bridges and other foreign ones. */
export function familyFrom(number: number): Family | undefined {
  if (number === AF_INET) return 4
  return number === AF_INET6 ? 6 : undefined
}

export interface IPValue {
  readonly family: Family
  readonly bytes: Uint8Array
}

/** An address in `text` as the wire has it; `invalid` when it is none. */
export function ipValue(text: string): IPValue {
  const bytes = parseIPBytes(text)
  if (bytes === undefined) throw invalid('address', text)
  return { family: bytes.length === 4 ? 4 : 6, bytes }
}

/** A prefix in `text` as the wire has it; `invalid` when it is none. */
export function prefixValue(text: string): IPValue & { readonly length: number } {
  const prefix = parsePrefixBytes(text)
  if (prefix === undefined) throw invalid('prefix', text)
  const { bytes, length } = prefix
  return { family: bytes.length === 4 ? 4 : 6, bytes, length }
}

export function macValue(text: string): Uint8Array {
  const mac = parseMac(text)
  if (mac === undefined) throw invalid('MAC address', text)
  return macBytes(mac)
}

/** Text of a link-layer address of six bytes; undefined for tunnels and other lengths. */
export function macText(bytes: Uint8Array | undefined): string | undefined {
  return bytes?.length === 6 ? macFromBytes(bytes) : undefined
}

/** The prefix that address attribute and length stand for; without the attribute all bits are zero. */
export function prefixText(address: string | undefined, family: Family, length: number): string {
  return `${address ?? (family === 4 ? '0.0.0.0' : '::')}/${length}`
}

const SCOPES: Readonly<Record<string, number>> = {
  global: 0,
  site: 200,
  link: 253,
  host: 254,
  nowhere: 255,
}

export function scopeNumber(scope: Scope): number {
  return typeof scope === 'number' ? scope : (SCOPES[scope] ?? 0)
}

export function scopeFrom(number: number): Scope {
  return nameOf(SCOPES, number) as Scope
}

/** The name a number has in the table, or the number. */
export function nameOf(table: Readonly<Record<string, number>>, number: number): string | number {
  for (const [name, value] of Object.entries(table)) if (value === number) return name
  return number
}

/** True for the errnos by which the kernel says that there was nothing to remove. */
export function absent(...names: readonly string[]): (errno: string) => boolean {
  return (errno) => names.includes(errno)
}

function invalid(what: string, text: string): NetworkError {
  return new NetworkError('invalid', `Cannot tell the kernel the ${what} "${text}": not one`)
}
