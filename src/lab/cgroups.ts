/** Control groups that container engines of a lab make: all below one group per lab, removed with it. */

import { existsSync, readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = '/sys/fs/cgroup'

/** The group below which an engine of the lab puts its containers, as engines spell it. */
export function labCgroup(lab: string): string {
  return `/carrick-lab/${lab}`
}

/** Removes the lab's group from every hierarchy; its processes have ended. Content when there is none. */
export function removeCgroups(lab: string): void {
  if (!existsSync(ROOT)) return
  // One tree (version 2), or a tree per controller (version 1).
  for (const tree of [ROOT, ...readdirSync(ROOT).map((name) => join(ROOT, name))]) {
    const own = join(tree, labCgroup(lab))
    if (!existsSync(own)) continue
    removeTree(own)
    const shared = join(tree, 'carrick-lab')
    if (directoriesIn(shared).length === 0) rmdirSync(shared)
  }
}

/** A group's files go with it; only the groups below it are in the way. */
function removeTree(path: string): void {
  for (const name of directoriesIn(path)) removeTree(join(path, name))
  rmdirSync(path)
}

function directoriesIn(path: string): readonly string[] {
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
}
