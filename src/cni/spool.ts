/**
 * A DEL while the daemon is away: runtimes ask once, or for ever, so it is put where the daemon looks when it comes
 * back, one file for each attachment. Loaded only then.
 */

import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { replaceFile } from '../lib/replace-file.ts'
import type { CniRequest, SpooledDelete } from './exchange.ts'

/** More than these were never on one host. */
const MOST_FILES = 16_384

/** Which attachment a call is about; undefined when it does not say. */
export function attachmentIn(
  { environment }: CniRequest,
  config: Readonly<Record<string, unknown>>,
): readonly [network: string, containerId: string, ifname: string] | undefined {
  const { CNI_CONTAINERID: containerId = '', CNI_IFNAME: ifname = '' } = environment
  const network = config['name']
  if (typeof network !== 'string') return undefined
  return network === '' || containerId === '' || ifname === ''
    ? undefined
    : [network, containerId, ifname]
}

/** Writes the file and brings it to the disk; throws as node:fs does, or when there are too many. */
export function spoolDelete(
  directory: string,
  request: CniRequest,
  attachment: readonly string[],
  now: Date,
): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  if (readdirSync(directory).length >= MOST_FILES) {
    throw new Error(`${directory} holds ${MOST_FILES} files already`)
  }
  const spooled: SpooledDelete = { ...request, spooledAt: now.toISOString() }
  const name = new Bun.CryptoHasher('sha256').update(JSON.stringify(attachment)).digest('hex')
  replaceFile(join(directory, `${name.slice(0, 32)}.json`), JSON.stringify(spooled), 0o600)
}
