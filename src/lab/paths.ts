/**
 * Where a lab lives: one private tmpfs under /run/carrick-lab per lab, which holds its description, its
 * namespace pins and its hosts' directories. Unmounting it takes all of them; nothing else is left to forget.
 */
import { join } from 'node:path'

/** Directory of all labs of this machine. */
export const LABS = '/run/carrick-lab'
/** Namespace that plays the switch or the router; no host may have this name. */
export const SWITCH = 'switch'

export function labPath(lab: string): string {
  return join(LABS, lab)
}

/** What `createLab` was asked for, as JSON. */
export function specPath(lab: string): string {
  return join(labPath(lab), 'lab.json')
}

/** Directory with the pins `net`, `mnt`, `uts` of one host, or `net` of the switch. */
export function pinsPath(lab: string, host: string): string {
  return join(labPath(lab), 'namespaces', host)
}

/** The host's own directories as seen from outside: `run`, `etc`, `lib`, `cache`. */
export function hostPath(lab: string, host: string): string {
  return join(labPath(lab), 'hosts', host)
}

/** Pin of a container's network namespace as seen from outside. */
export function containerPath(lab: string, host: string, container: string): string {
  return join(labPath(lab), 'containers', host, container)
}

/** One file per process started in the lab. */
export function processesPath(lab: string): string {
  return join(labPath(lab), 'processes')
}
