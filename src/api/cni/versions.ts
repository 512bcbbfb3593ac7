/** Versions of the specification: which are spoken, and which verb came with which. */

import { CNI_VERSIONS, type CniVersion } from '../../cni/exchange.ts'
import type { NetworkError } from '../../lib/errors.ts'
import type { Verb } from './environment.ts'
import { CNI_CODE, cniError } from './errors.ts'

/** What a configuration without a version has. Spec 0.2.0. */
const OLDEST = CNI_VERSIONS[0]
const NEWEST: CniVersion = '1.1.0'

const SINCE: Readonly<Partial<Record<Verb, CniVersion>>> = {
  CHECK: '0.4.0',
  GC: '1.1.0',
  STATUS: '1.1.0',
}

/** True when `version` is not older than `than`. */
export function isAtLeast(version: CniVersion, than: CniVersion): boolean {
  return CNI_VERSIONS.indexOf(version) >= CNI_VERSIONS.indexOf(than)
}

/** The version a text means, exactly as it stands; empty: the oldest. Throws code 1. */
export function readVersion(text: string, what: string): CniVersion {
  const version = text === '' ? OLDEST : CNI_VERSIONS.find((known) => known === text)
  if (version === undefined) {
    throw incompatible(`Cannot take ${what} "${text}": this version is not spoken here`)
  }
  return version
}

/** Throws code 1 when the verb came later than the version. */
export function checkVerbAt(verb: Verb, version: CniVersion): void {
  const since = SINCE[verb]
  if (since === undefined || isAtLeast(version, since)) return
  throw incompatible(`Cannot do ${verb} at cniVersion "${version}": there is none before ${since}`)
}

/** What an error is labelled with: the version the configuration asks for, if it is spoken. */
export function versionForFailure(stdin: string): CniVersion {
  try {
    const asked = (JSON.parse(stdin) as { cniVersion?: unknown } | null)?.cniVersion
    return CNI_VERSIONS.find((known) => known === asked) ?? NEWEST
  } catch (error) {
    if (error instanceof SyntaxError) return NEWEST
    throw error
  }
}

function incompatible(message: string): NetworkError {
  return cniError(CNI_CODE.INCOMPATIBLE_VERSION, message, {
    hint: `set cniVersion of the network's list to one of ${CNI_VERSIONS.join(', ')}`,
  })
}
