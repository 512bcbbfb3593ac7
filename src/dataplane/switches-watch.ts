/** Whether the host's forwarding was opened or closed: the kernel tells nobody, so it is asked now and then. */

import type { Kernel } from '../kernel/kernel.ts'
import type { OpenSetting } from '../kernel/settings.ts'
import { FORWARDING_SWITCHES } from './resources/forwarding.ts'

export class SwitchesWatch implements Disposable {
  readonly #open: readonly OpenSetting[]
  /** How they were set when last looked at. */
  #last: string
  #lookAgain = false

  constructor(kernel: Kernel) {
    this.#open = FORWARDING_SWITCHES.map((path) => kernel.sysctl.open(path))
    this.#last = this.#read()
  }

  /**
   * True when they are set otherwise than at the last call, and at the call after that. Whoever waits for the kernel's
   * lock shows the new value before the devices have it: a look that may have come too early is followed by another.
   */
  mayHaveChanged(): boolean {
    const now = this.#read()
    const changed = now !== this.#last
    const again = this.#lookAgain
    this.#lookAgain = changed
    this.#last = now
    return changed || again
  }

  [Symbol.dispose](): void {
    for (const open of this.#open) open[Symbol.dispose]()
  }

  #read(): string {
    return this.#open.map((open) => open.read()).join(' ')
  }
}
