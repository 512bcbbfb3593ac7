/**
 * Which resolvers the host itself asks: those of /etc/resolv.conf, read again when the file is another, or
 * those of a setting. Our own addresses are never among them.
 */

import { readFile, stat } from 'node:fs/promises'
import type { Log } from '../lib/log.ts'
import { parseIP } from '../net/ip.ts'

/** A resolver to ask at port 53: an address, of IPv6 perhaps with a zone (`fe80::1%eth0`). */
export type Upstream = string

/** The file is looked at no more often than this. */
const LOOK_MS = 1_000
/** resolv.conf(5) MAXNS */
const MOST_SERVERS = 3

export interface UpstreamsOptions {
  /** Asked instead of what the file says, when not empty. */
  readonly servers: readonly Upstream[]
  readonly file: string
  /** Where we answer ourselves. */
  readonly own: readonly string[]
  readonly nowMs: () => number
  readonly log: Log
}

export class Upstreams {
  readonly #options: UpstreamsOptions
  #servers: readonly Upstream[]
  #lookedAtMs = Number.NEGATIVE_INFINITY
  #version = ''

  constructor(options: UpstreamsOptions) {
    this.#options = options
    this.#servers = options.servers.filter((server) => !options.own.includes(server))
  }

  /** In the order in which they are to be asked; none where the host has none. */
  async list(): Promise<readonly Upstream[]> {
    const { servers, nowMs } = this.#options
    if (servers.length === 0 && nowMs() - this.#lookedAtMs >= LOOK_MS) {
      this.#lookedAtMs = nowMs()
      await this.#look()
    }
    return this.#servers
  }

  async #look(): Promise<void> {
    const { file, own, log } = this.#options
    try {
      const { ino, mtimeMs, size } = await stat(file)
      const version = `${ino} ${mtimeMs} ${size}`
      if (version === this.#version) return
      const text = await readFile(file, 'utf8')
      this.#servers = parseResolvConf(text).filter((server) => !own.includes(server))
      this.#version = version
      log.info('resolvers of the host', { address: this.#servers.join(' ') })
    } catch (error) {
      // It is being replaced, or was never there: what was known stays.
      if (this.#version !== 'missing') log.warn('cannot read the resolvers of the host', { error })
      this.#version = 'missing'
    }
  }
}

/** resolv.conf(5): lines `nameserver ADDRESS`. */
export function parseResolvConf(text: string): readonly Upstream[] {
  const found = text.split('\n').flatMap((line): Upstream[] => {
    const [, address = '', zone = ''] = /^nameserver\s+([^\s%#;]+)(%\S+)?/.exec(line) ?? []
    const ip = parseIP(address)
    return ip === undefined ? [] : [`${ip}${zone}`]
  })
  return [...new Set(found)].slice(0, MOST_SERVERS)
}
