/**
 * The engine's settings file, /etc/docker/daemon.json: our resolver comes to stand first in `dns`, and goes from
 * there again; everything else is kept as it is. Texts in, texts out: nothing here touches a file.
 */

import { messageOf, NetworkError } from '../lib/errors.ts'
import { RESOLVER4, RESOLVER6 } from '../model/resolver.ts'

/**
 * Only the first: engines before 26 leave servers with IPv6 addresses beside their own in a container's resolv.conf,
 * where some C libraries ask all at once and believe the first, who need not know what the engine knows.
 */
const WANTED: readonly string[] = [RESOLVER4]
const OURS: readonly string[] = [RESOLVER4, RESOLVER6]

type Settings = Readonly<Record<string, unknown>>

/** The text with our resolver in it; undefined when it is there already. Throws `invalid`. */
export function withResolver(text: string | undefined, path: string): string | undefined {
  const settings = parse(text ?? '', path)
  const others = without(dnsOf(settings, path))
  const dns = [...WANTED, ...others]
  if (sameList(dns, dnsOf(settings, path))) return undefined
  return print({ ...settings, dns }, text)
}

/**
 * The text without our resolver: undefined when it is not in there, `original` as it was when nothing else
 * differs from it, and nothing ('') when nothing is left of a file that was not there before. Throws `invalid`.
 */
export function withoutResolver(
  text: string,
  original: string | undefined,
  path: string,
): string | undefined {
  const settings = parse(text, path)
  const dns = dnsOf(settings, path)
  const others = without(dns)
  if (others.length === dns.length) return undefined
  const { dns: _ours, ...rest } = settings
  const restored = others.length === 0 ? rest : { ...settings, dns: others }
  if (original !== undefined && isSame(parse(original, path), restored)) return original
  if (original === undefined && Object.keys(restored).length === 0) return ''
  return print(restored, text)
}

/** True when containers of the engine ask us first. Throws `invalid` when the file cannot be read. */
export function hasResolver(text: string | undefined, path: string): boolean {
  return withResolver(text, path) === undefined
}

/** An empty file means what an absent one does, to the engine too. */
function parse(text: string, path: string): Settings {
  const refuse = (found: string, cause?: unknown) =>
    new NetworkError('invalid', `Cannot change ${path}: ${found}`, {
      hint: `mend ${path}, which the engine would not read either, and try again`,
      ...(cause === undefined ? {} : { cause }),
    })
  if (text.trim() === '') return {}
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw refuse(`it is not JSON: ${messageOf(error)}`, error)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw refuse('it is no JSON object')
  }
  return value as Settings // any object of JSON is
}

function dnsOf(settings: Settings, path: string): readonly string[] {
  const dns = settings['dns'] ?? []
  if (Array.isArray(dns) && dns.every((each) => typeof each === 'string')) return dns
  throw new NetworkError('invalid', `Cannot change ${path}: its "dns" is no list of addresses`)
}

function without(dns: readonly string[]): readonly string[] {
  return dns.filter((each) => !OURS.includes(each))
}

/** Indented as the text was. */
function print(settings: Settings, text: string | undefined): string {
  const indentation = /\n([ \t]+)"/.exec(text ?? '')?.[1] ?? '  '
  return `${JSON.stringify(settings, null, indentation)}\n`
}

function sameList(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((each, index) => each === other[index])
}

function isSame(one: Settings, other: Settings): boolean {
  const sorted = (settings: Settings) =>
    JSON.stringify(Object.entries(settings).sort(([a], [b]) => (a < b ? -1 : 1)))
  return sorted(one) === sorted(other)
}
