/** Control groups that container engines of a lab make: all below one group per lab, removed with it. */

import { existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { removeShared } from './remove-shared.ts'

const ROOT = '/sys/fs/cgroup'

/** The group below which an engine of the lab puts its containers, as engines spell it. */
export function labCgroup(lab: string): string {
  return `/carrick-lab/${lab}`
}

/** Processes in the lab's group: containers whose engine has no process that would end them. */
export function cgroupProcesses(lab: string): readonly number[] {
  return [...new Set(groupsOf(lab).flatMap(({ own }) => processesIn(own)))]
}

/** Removes the lab's group from every hierarchy; its processes have ended. Content when there is none. */
export function removeCgroups(lab: string): void {
  for (const { own, shared } of groupsOf(lab)) {
    removeTree(own)
    removeShared(shared, 'EBUSY')
  }
}

/** The lab's group in every hierarchy: one tree (version 2), or a tree per controller (version 1). */
function groupsOf(lab: string): readonly { readonly own: string; readonly shared: string }[] {
  if (!existsSync(ROOT)) return []
  return [ROOT, ...readdirSync(ROOT).map((name) => join(ROOT, name))]
    .map((tree) => ({ own: join(tree, labCgroup(lab)), shared: join(tree, 'carrick-lab') }))
    .filter(({ own }) => existsSync(own))
}

function processesIn(path: string): readonly number[] {
  const listed = readFileSync(join(path, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean)
  const below = directoriesIn(path).flatMap((name) => processesIn(join(path, name)))
  return [...listed.map(Number), ...below]
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
