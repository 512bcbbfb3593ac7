/**
 * Pairs of which a container engine has one end. The engine may take that end into a container, rename it and
 * give it back: nothing of that is drift. A pair that has gone went with its container, and is never made
 * again: its endpoint then asks for nothing, until its record goes.
 */

import { MARK, type ObjectKey, type Veth } from '../hoststate/state.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { ObjectChange } from './reconcile.ts'

export class EnginePairs {
  readonly #kernel: Pick<Kernel, 'links'>
  readonly #run: string
  /** Devices that this run has made. */
  readonly #made = new Set<string>()
  /** The device of each object that has such a pair. */
  readonly #devices = new Map<ObjectKey, string>()

  /** `run` names this run of the daemon. */
  constructor(kernel: Pick<Kernel, 'links'>, run: string) {
    this.#kernel = kernel
    this.#run = run
  }

  /** The pair is there now, and will not be made again. */
  made({ name }: Veth): void {
    this.#made.add(name)
  }

  /** True when the pair was there and is no more; false for pairs that no engine has. */
  hasGone({ name, engine }: Veth): boolean {
    if (engine === undefined) return false
    if (engine.run === this.#run && !this.#made.has(name)) return false
    const link = this.#kernel.links.get(name)
    return link === undefined || link.group === MARK.dyingGroup
  }

  /** The change as it is to be applied: an object whose pair has gone asks for nothing. */
  admit(change: ObjectChange): ObjectChange {
    const { object, wanted } = change
    const pair = wanted.find((want): want is Veth => want.kind === 'veth')
    if (pair?.engine === undefined) {
      const device = this.#devices.get(object)
      if (device !== undefined) {
        this.#devices.delete(object)
        this.#made.delete(device)
      }
      return change
    }
    this.#devices.set(object, pair.name)
    return this.hasGone(pair) ? { object, wanted: [] } : change
  }
}
