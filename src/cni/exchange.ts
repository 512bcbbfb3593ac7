/**
 * What the short-lived CNI process and the daemon say to each other, and what both must agree on. This file is
 * loaded by that process: it imports nothing.
 */

/** POSTed to this path of the daemon's socket as JSON; the answer is JSON with status 200. */
export const CNI_PATH = '/cni/v1'

/** Where the daemon answers unless the configuration says otherwise. */
export const DEFAULT_SOCKET = '/run/carrick/carrick.sock'

/** How long a call may take, by verb. No runtime but CRI-O and containerd gives up by itself, so none waits longer. */
export const DEADLINES_MS: Readonly<Record<string, number>> = {
  ADD: 10_000,
  DEL: 5_000,
  CHECK: 5_000,
  GC: 30_000,
  STATUS: 1_000,
}

/** The program of `client.c` lies beside the executable, under its name and this. */
export const CNI_CLIENT_SUFFIX = '-cni'

/**
 * Variable by which `client.c` hands on what it found when it asked the daemon: `late`, nothing in time, or `broken`,
 * no whole answer.
 */
export const FOUND_VARIABLE = 'CARRICK_CNI_FOUND'

/** One call of a runtime, as it came. Nothing of it has been checked. */
export interface CniRequest {
  readonly version: 1
  /** All variables that begin with `CNI_`. */
  readonly environment: Readonly<Record<string, string>>
  /** Standard input, whole. */
  readonly stdin: string
}

/** What the process writes and how it exits. */
export interface CniReply {
  /** One JSON object, or empty. */
  readonly stdout: string
  readonly stderr?: string
  readonly exit: number
}

/** A DEL that could not be told to the daemon: a file `<hash>.json` of the spool. */
export interface SpooledDelete extends CniRequest {
  /** When the runtime wanted it gone, RFC 3339: what was attached later is another attachment. */
  readonly spooledAt: string
}

/** Versions of the specification that are spoken, the oldest first. */
export const CNI_VERSIONS = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const
export type CniVersion = (typeof CNI_VERSIONS)[number]

/** The answer to VERSION. */
export function versionsText(): string {
  const cniVersion = CNI_VERSIONS[CNI_VERSIONS.length - 1]
  return JSON.stringify({ cniVersion, supportedVersions: CNI_VERSIONS })
}

/** More standard input than this is refused. */
export const STDIN_BYTES = 4 * 1024 * 1024
