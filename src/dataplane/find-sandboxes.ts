/**
 * Finds the namespaces of containers whose records were lost with the disk: an interface with an
 * endpoint's MAC is its own. Looks where runtimes keep namespaces, and at those of all processes.
 */

import { readdirSync, readlinkSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Kernel } from '../kernel/kernel.ts'
import { isNetworkError } from '../lib/errors.ts'
import type { Sandbox } from '../model/endpoint.ts'
import type { Mac } from '../net/mac.ts'

const DIRECTORIES = ['/run/netns', '/run/docker/netns']

export interface FoundSandbox {
  readonly sandbox: Sandbox
  readonly ifname: string
}

/** Where each of these MACs is; those not found are absent. */
export function findSandboxes(
  kernel: Kernel,
  macs: ReadonlySet<Mac>,
): ReadonlyMap<Mac, FoundSandbox> {
  const found = new Map<Mac, FoundSandbox>()
  const seen = new Set<number>([statSync('/proc/self/ns/net').ino])
  for (const path of candidates()) {
    if (found.size === macs.size) break
    try {
      using netns = kernel.openNetns(path)
      if (seen.has(netns.inode)) continue
      seen.add(netns.inode)
      const { inode } = netns
      for (const link of kernel.inNetns(netns, (inside) => inside.links.list())) {
        const mac = [...macs].find((each) => each === link.mac)
        if (mac !== undefined) found.set(mac, { sandbox: { path, inode }, ifname: link.name })
      }
    } catch (error) {
      // It went away while we looked, or is no namespace.
      if (!isNetworkError(error)) throw error
    }
  }
  return found
}

function* candidates(): Generator<string> {
  for (const directory of DIRECTORIES) {
    for (const name of entriesOf(directory)) yield join(directory, name)
  }
  const told = new Set<string>()
  for (const pid of entriesOf('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    const path = `/proc/${pid}/ns/net`
    const target = linkOf(path)
    if (target === undefined || told.has(target)) continue
    told.add(target)
    yield path
  }
}

function entriesOf(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return [] // no such runtime here
  }
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined // the process ended
  }
}
