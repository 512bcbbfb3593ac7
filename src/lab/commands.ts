/**
 * What `carrick lab up|exec|ls|down` do, for the command line to call. Data comes back; printing is the
 * caller's.
 */
import { createLab, listLabs, openLab, removeLab } from './lab.ts'
import { exitOf } from './processes.ts'
import type { LabRequest, LabSpec } from './spec.ts'

/** Name of the lab when none is given. */
export const DEFAULT_LAB = 'lab'

/** Makes a lab that stays; `already-exists` when it is up. */
export async function labUp(request: LabRequest): Promise<LabSpec> {
  return (await createLab(request)).spec
}

/** Runs a command in a host on this terminal and tells its exit code, 128 plus signal when killed. */
export async function labExec(lab: string, host: string, argv: readonly string[]): Promise<number> {
  return await exitOf(openLab(lab).spawn(host, argv, { stdio: 'inherit' }))
}

/** The labs that are up, finished or not. */
export const labList = listLabs

/** Takes a lab down; content when it is not up. */
export const labDown = removeLab
