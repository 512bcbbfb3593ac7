/**
 * Where a host keeps its certificates: `ca.pem`, `host.pem` and `host.key`, on the first host `ca.key` and
 * the store's `store.pem` and `store.key` as well. A file is replaced whole or not at all, and nobody but
 * the owner reads it.
 */

import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { type ErrorCode, NetworkError } from '../lib/errors.ts'
import { checkCertificate, type Identity } from './check.ts'

/** What TLS needs to speak as a member: all PEM. */
export interface TlsMaterial extends Identity {
  readonly ca: string
}

export type Holder = 'host' | 'store' | 'ca'

/** Writes a certificate and its key into `directory`, the key first. */
export function writeIdentity(directory: string, holder: Holder, identity: Identity): void {
  writeSecret(join(directory, `${holder}.key`), identity.key)
  writeSecret(join(directory, `${holder}.pem`), identity.certificate)
}

/** Writes the authority's certificate, on hosts that do not have its key. */
export function writeAuthorityCertificate(directory: string, certificate: string): void {
  writeSecret(join(directory, 'ca.pem'), certificate)
}

/** The authority with its key; undefined on hosts that do not have it. */
export function readAuthority(directory: string, now: Date): Identity | undefined {
  return readIdentity(directory, 'ca', now)
}

/**
 * What `host` or `store` speaks TLS with; undefined when it has not been written yet. Throws
 * `unauthenticated` naming the file and the date when a certificate has expired, `unavailable` when a file
 * cannot be read.
 */
export function readTlsMaterial(
  directory: string,
  holder: 'host' | 'store',
  now: Date,
): TlsMaterial | undefined {
  const caFile = join(directory, 'ca.pem')
  const ca = readText(caFile)
  const identity = readIdentity(directory, holder, now)
  if (ca === undefined || identity === undefined) return undefined
  checkCertificate(ca, caFile, now)
  return { ca, ...identity }
}

/** What keeps a file from being written, as far as a user can do something about it. */
const REFUSALS: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  ENOSPC: ['exhausted', 'the disk is full'],
  EDQUOT: ['exhausted', 'the disk quota is used up'],
  EROFS: ['forbidden', 'the file system may not be written'],
  EACCES: ['forbidden', 'the file may not be written'],
}

/**
 * Replaces a file by one that only its owner may read; makes its directory. Throws `exhausted` or
 * `forbidden`; the old file is then as it was.
 */
export function writeSecret(path: string, text: string): void {
  const temporary = `${path}.new`
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    replaceFile(path, temporary, text)
  } catch (cause) {
    rmSync(temporary, { force: true })
    const errno = String((cause as NodeJS.ErrnoException).code)
    const [code, found] = REFUSALS[errno] ?? (['kernel', errno] as const)
    throw new NetworkError(code, `Cannot write ${path}: ${found}`, { cause })
  }
}

function replaceFile(path: string, temporary: string, text: string): void {
  rmSync(temporary, { force: true })
  const fd = openSync(temporary, 'wx', 0o600)
  try {
    writeFileSync(fd, text)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  renameSync(temporary, path)
  const parent = openSync(dirname(path), 'r')
  try {
    fsyncSync(parent)
  } finally {
    closeSync(parent)
  }
}

function readIdentity(directory: string, holder: Holder, now: Date): Identity | undefined {
  const certificateFile = join(directory, `${holder}.pem`)
  const certificate = readText(certificateFile)
  const key = readText(join(directory, `${holder}.key`))
  if (certificate === undefined || key === undefined) return undefined
  checkCertificate(certificate, certificateFile, now)
  return { certificate, key }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw new NetworkError('unavailable', `Cannot read ${path}: ${String(error)}`, { cause: error })
  }
}
