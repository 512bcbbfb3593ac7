/**
 * What keeps the way out of networks closed while our table is missing: a program at netfilter's hooks, which
 * no flushed ruleset takes along. Its links are pinned, so that it stands while the daemon is away.
 */

import { existsSync, readFileSync } from 'node:fs'
import image from '../../bpf/closing.bpf.o' with { type: 'file' }
import { openLibbpf } from '../kernel/bpf/libbpf.ts'
import {
  NETFILTER_PROGRAM,
  type NetfilterPlace,
  putNetfilterLink,
  readNetfilterLink,
} from '../kernel/bpf/netfilter-link.ts'
import { BpfObject } from '../kernel/bpf/object.ts'
import { removePinnedLink } from '../kernel/bpf/pinned-link.ts'
import { isNetworkError } from '../lib/errors.ts'

const MAP = 'closed_marks'
const PROGRAM = 'closed'
const KEY = new Uint8Array(4)
/** Before all that may decide on a packet: what met no table meets nobody else. */
const PRIORITY = -400

const PLACES: readonly NetfilterPlace[] = ([4, 6] as const).flatMap((family) =>
  (['input', 'forward'] as const).map((hook) => ({ family, hook, priority: PRIORITY })),
)

export class Closing {
  readonly #directory: string

  /** `bpfDirectory` as DataplaneSettings has it. */
  constructor(bpfDirectory: string) {
    this.#directory = `${bpfDirectory}/closing`
  }

  /** The mark that is kept from passing; undefined when the program is not at every place. */
  read(): number | undefined {
    const bpf = openLibbpf()
    const ids = PLACES.map((place) => readNetfilterLink(bpf, this.#pin(place)))
    if (ids.includes(undefined) || !existsSync(`${this.#directory}/${MAP}`)) return undefined
    using object = this.#load()
    const value = object.map(MAP).lookup(KEY)
    return value === undefined ? undefined : new DataView(value.buffer).getUint32(0, true)
  }

  /** Closes the way for packets with any of these bits; false when this kernel has no such hooks. */
  close(mark: number): boolean {
    try {
      using object = this.#load()
      object.map(MAP).update(KEY, new Uint8Array(Uint32Array.of(mark).buffer))
      const bpf = openLibbpf()
      for (const place of PLACES) {
        if (readNetfilterLink(bpf, this.#pin(place)) !== undefined) continue
        putNetfilterLink(bpf, this.#pin(place), object.program(PROGRAM), place)
      }
      return true
    } catch (error) {
      // Before Linux 6.4 the program's type is unknown, or there is no such link.
      if (!isNetworkError(error, 'kernel') && !isNetworkError(error, 'unsupported')) throw error
      this.open()
      return false
    }
  }

  open(): void {
    for (const place of PLACES) removePinnedLink(this.#pin(place))
  }

  #load(): BpfObject {
    return BpfObject.load(openLibbpf(), readFileSync(image), {
      pinDirectory: this.#directory,
      programs: NETFILTER_PROGRAM,
    })
  }

  #pin({ family, hook }: NetfilterPlace): string {
    return `${this.#directory}/links/${hook}${family}`
  }
}
