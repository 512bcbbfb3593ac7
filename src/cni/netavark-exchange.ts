/**
 * What the short-lived netavark process and the daemon say to each other. This file is loaded by that process: it
 * imports nothing at run time.
 */

/** POSTed to this path of the daemon's socket as JSON; the answer is a `CniReply` with status 200. */
export const NETAVARK_PATH = '/netavark/v1'

/** Verbs of netavark's plug-ins that need the daemon. */
export const NETAVARK_VERBS = ['create', 'setup', 'teardown'] as const
export type NetavarkVerb = (typeof NETAVARK_VERBS)[number]

/** One call, as it came. Nothing of it has been checked. */
export interface NetavarkRequest {
  readonly version: 1
  readonly verb: string
  /** Path of the namespace; absent for `create`. */
  readonly netns?: string
  /** Standard input, whole. */
  readonly stdin: string
}

/**
 * The runtime's name for a network of Podman's, among those of CNI: no garbage collection of a CNI runtime knows
 * what netavark attached.
 */
export function netavarkNetwork(name: string): string {
  return `netavark.${name}`
}
