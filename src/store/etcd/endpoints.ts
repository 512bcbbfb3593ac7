/**
 * Store addresses as people write them: `etcd://a:2379,b:2379` in clear, `etcds://a:2379,b` with TLS. Costs
 * no import, so that the command line can check one.
 */

import { NetworkError } from '../../lib/errors.ts'

/** The port of etcd's clients. */
const DEFAULT_PORT = 2379

export interface EtcdUrl {
  readonly tls: boolean
  /** One URL per member, http or https, with port. */
  readonly endpoints: readonly string[]
}

/** Reads a store address; throws `invalid` saying what is wrong. */
export function parseEtcdUrl(text: string): EtcdUrl {
  const match = /^etcd(s?):\/\/(.+)$/.exec(text)
  if (match === null) {
    throw invalid(text, 'it begins neither with "etcd://" nor with "etcds://"')
  }
  const tls = match[1] === 's'
  const members = (match[2] ?? '').replace(/\/$/, '').split(',')
  return { tls, endpoints: members.map((member) => endpointOf(text, member, tls)) }
}

function endpointOf(text: string, member: string, tls: boolean): string {
  const scheme = tls ? 'https' : 'http'
  let url: URL
  try {
    url = new URL(`${scheme}://${member}`)
  } catch {
    throw invalid(text, `"${member}" is no host with an optional port`)
  }
  const extra = url.username !== '' || url.pathname !== '/' || url.search !== '' || url.hash !== ''
  if (member === '' || extra) throw invalid(text, `"${member}" is no host with an optional port`)
  // a URL hides the port that is its scheme's own
  const port = /:(\d+)$/.exec(member)?.[1] ?? String(DEFAULT_PORT)
  return `${scheme}://${url.hostname}:${port}`
}

function invalid(text: string, found: string): NetworkError {
  return new NetworkError('invalid', `Cannot use the store address "${text}": ${found}`)
}
