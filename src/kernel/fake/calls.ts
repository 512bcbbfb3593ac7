/**
 * The record of every call a test's subject made, and the refusals the test ordered: any chosen call fails
 * once, by name or by number, and changes nothing then.
 */
import { constants } from 'node:os'
import { kernelError } from '../errno.ts'

export interface Call {
  /** From 1. */
  readonly number: number
  /** `links.createVeth`, `openNetns`, … */
  readonly name: string
  readonly args: readonly unknown[]
  /** Inode of the namespace it was made in. */
  readonly netns: number
}

export class Calls {
  readonly #made: Call[] = []
  readonly #byName = new Map<string, string[]>()
  readonly #byNumber = new Map<number, string>()

  /** All calls so far, the refused ones too. */
  get made(): readonly Call[] {
    return this.#made
  }

  /** The names of the calls that were to change something. */
  get changes(): readonly string[] {
    return this.#made.map(({ name }) => name).filter((name) => !READS.test(name))
  }

  /** Refuses the next call of that name with this errno; several wait in order. */
  failNext(name: string, errno: string): void {
    this.#byName.set(name, [...(this.#byName.get(name) ?? []), errno])
  }

  /** Refuses the call of that number, counted from the first one ever made. */
  failCall(number: number, errno: string): void {
    this.#byNumber.set(number, errno)
  }

  /** Notes a call; throws when it is to fail. */
  enter(name: string, args: readonly unknown[], netns: number): void {
    const number = this.#made.length + 1
    this.#made.push({ number, name, args, netns })
    const errno = this.#byNumber.get(number) ?? this.#byName.get(name)?.shift()
    this.#byNumber.delete(number)
    if (errno !== undefined) refuse(name, errno, 'refused by the test')
  }
}

const READS =
  /\.(get|list|listTable|listElements|listAt|lookup|read|tables|chains|rules|elements|legacyTables)$|^(watch|openNetns)$/

/** Throws what the real kernel would for this errno. */
export function refuse(operation: string, errno: string, ack?: string): never {
  const number = Object.entries(constants.errno).find(([name]) => name === errno)?.[1]
  if (number === undefined) throw new Error(`no errno is called ${errno}`)
  throw kernelError(operation, number, ack)
}
