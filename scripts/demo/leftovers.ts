/** What a run may leave on the machine: everything that was not there before it. */

import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { openKernel } from '../../src/kernel/real.ts'

/** A picture of the machine: one line for each thing a run could leave. */
export function pictureOfMachine(marker: string): ReadonlySet<string> {
  using kernel = openKernel()
  return new Set([
    ...kernel.links.list().map(({ name }) => `device ${name}`),
    ...readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .flatMap((line) => (line === '' ? [] : [`mount ${line.split(' ')[1]}`])),
    ...filesBelow('/run/carrick-lab'),
    ...filesBelow('/run/carrick'),
    ...filesBelow('/run/netns'),
    ...filesBelow('/sys/fs/bpf'),
    ...processesOf(marker),
    ...['inet', 'arp'].flatMap((family) =>
      kernel.nft.listTable(family, 'carrick') === undefined ? [] : [`nft table ${family} carrick`],
    ),
  ])
}

/** What `after` has and `before` had not. */
export function leftovers(before: ReadonlySet<string>, after: ReadonlySet<string>): string[] {
  return [...after].filter((thing) => !before.has(thing)).sort()
}

function filesBelow(directory: string): string[] {
  if (!existsSync(directory)) return []
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).map(
    (name) => `file ${join(directory, name)}`,
  )
}

/** Processes whose command line holds the marker, and processes in a network namespace without a name. */
function processesOf(marker: string): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return []
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
      const elsewhere = readlinkSync(`/proc/${pid}/ns/net`) !== readlinkSync('/proc/self/ns/net')
      return elsewhere || command.includes(marker) ? [`process ${pid} ${command}`] : []
    } catch {
      return [] // it ended while we looked
    }
  })
}
