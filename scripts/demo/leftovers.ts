/**
 * What a run of the demo left on the machine. Others may use the machine meanwhile, labs of their own
 * included, so what is looked for is what only this run can have made: its lab's files and mounts, processes in its
 * namespaces, and Carrick's marks outside of any lab that were not there before.
 */

import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { MARK } from '../../src/hoststate/state.ts'
import { openKernel } from '../../src/kernel/real.ts'
import { removeLab } from '../../src/lab/lab.ts'
import { listPins } from '../../src/lab/namespaces.ts'
import { labPath } from '../../src/lab/paths.ts'
import type { Story } from './story.ts'

/** Carrick's marks in the machine's own namespaces, one line each. */
export function pictureOfMachine(): ReadonlySet<string> {
  using kernel = openKernel()
  const groups: readonly number[] = [MARK.endpointGroup, MARK.dyingGroup, MARK.fabricGroup]
  return new Set([
    ...kernel.links
      .list()
      .flatMap(({ name, group }) => (groups.includes(group) ? [`device ${name}`] : [])),
    ...['inet', 'arp'].flatMap((family) =>
      kernel.nft.listTable(family, MARK.table) === undefined
        ? []
        : [`nft table ${family} ${MARK.table}`],
    ),
    ...['/sys/fs/bpf/carrick', '/run/carrick', '/var/lib/carrick'].flatMap((path) =>
      existsSync(path) ? [`file ${path}`] : [],
    ),
  ])
}

/** The namespaces of a lab that is up, as the links below /proc name them. */
function namespacesOf(lab: string): ReadonlySet<string> {
  using kernel = openKernel()
  return new Set(
    listPins(lab)
      .filter((pin) => existsSync(pin))
      .flatMap((pin) => {
        try {
          using netns = kernel.openNetns(pin)
          return [`net:[${netns.inode}]`]
        } catch {
          return [] // a namespace of another kind: whoever is in it is in the network's too
        }
      }),
  )
}

/** What is left of the lab after it was taken down. */
function leftoversOfLab(lab: string, namespaces: ReadonlySet<string>): string[] {
  return [
    ...(existsSync(labPath(lab)) ? [`directory ${labPath(lab)}`] : []),
    ...readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .flatMap((line) => {
        const [, path = ''] = line.split(' ')
        return path.startsWith(labPath(lab)) ? [`mount ${path}`] : []
      }),
    ...processesIn(namespaces),
  ]
}

/** What `after` has and `before` had not. */
export function newIn(before: ReadonlySet<string>, after: ReadonlySet<string>): string[] {
  return [...after].filter((thing) => !before.has(thing)).sort()
}

function processesIn(namespaces: ReadonlySet<string>): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return []
    try {
      if (!namespaces.has(readlinkSync(`/proc/${pid}/ns/net`))) return []
      return [
        `process ${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')}`,
      ]
    } catch {
      return [] // it ended while we looked
    }
  })
}

/** Takes the lab down and tells the end of the story: what is left behind, which is given. */
export async function takeDown(
  lab: string,
  before: ReadonlySet<string>,
  story: Story,
): Promise<readonly string[]> {
  const namespaces = namespacesOf(lab)
  await removeLab(lab)
  const leftovers = [...leftoversOfLab(lab, namespaces), ...newIn(before, pictureOfMachine())]
  story.title('The end')
  for (const thing of leftovers) story.fail(`left behind: ${thing}`)
  story.check(
    leftovers.length === 0,
    'no namespace, device, mount, pin, table, process or file left',
  )
  return leftovers
}
