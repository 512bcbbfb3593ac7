/**
 * The generic comparison: objects claim things, the kernel has things, and the difference is put or removed.
 * A claim is `(kind, key)`; when two objects claim the same (an endpoint that moved, told in two events),
 * the greater object key wins, so that the outcome does not depend on the order of events.
 *
 * `apply` trusts what was put before and touches only what changed; `audit` reads the kernel again, puts
 * right what differs and removes what nobody claims; `announce` and `resync` replace all claims and audit.
 */

import type { Kind, ObjectKey, Wanted } from '../hoststate/state.ts'
import { KIND_ORDER, keyOf } from '../hoststate/state.ts'
import { isNetworkError, messageOf, NetworkError } from '../lib/errors.ts'
import { PackedMap } from '../lib/packed-map.ts'
import type { Resource, Resources } from './resource.ts'
import { type Claim, type Slot, Slots, sameData } from './slots.ts'

export interface ObjectChange {
  readonly object: ObjectKey
  /** Empty: the object is gone, or asks for nothing. */
  readonly wanted: readonly Wanted[]
}

/** What could not be done for one object; the others went on. */
export interface Failure {
  readonly object: ObjectKey
  readonly code: string
  readonly message: string
}

export interface Repair {
  /** Objects of ours that were missing, changed or left over, by kind. */
  readonly repaired: Readonly<Partial<Record<Kind, number>>>
  readonly failures: readonly Failure[]
}

/** Which things to read again: all of these kinds, or of one kind only those at these keys. */
export type AuditScope =
  | {
      readonly kinds: readonly Kind[]
      /** Of these only what stands where something is wanted; leftovers are another audit's. */
      readonly inPlace?: readonly Kind[]
    }
  | { readonly kind: Kind; readonly keys: readonly string[] }

/** Object under which failures are told that no object asked for: leftovers that cannot be removed. */
const NOBODY: ObjectKey = 'leftover'

export class Reconciler {
  readonly #resources: Resources
  readonly #slots = new Map<Kind, Slots>(KIND_ORDER.map((kind) => [kind, new Slots()]))
  /** What each object claims: a list of kinds and keys. */
  readonly #claimed = new PackedMap()
  readonly #announced = new Set<ObjectKey>()

  readonly #onStep: (step: string) => void

  /** `onStep` is told of every change, `put veth` or `remove endpoint`, once it was made. */
  constructor(resources: Resources, onStep: (step: string) => void = () => {}) {
    this.#resources = resources
    this.#onStep = onStep
  }

  /** Takes over what these objects want; the others keep what they have. */
  apply(changes: readonly ObjectChange[]): readonly Failure[] {
    const touched = new Map<Kind, Set<string>>()
    for (const change of changes) this.#claim(change, touched, false)
    return this.#settle(touched)
  }

  /**
   * Takes over what these objects want without touching the kernel: parts of everything, which `resync`
   * completes.
   */
  announce(changes: readonly ObjectChange[]): void {
    const unapplied = new Map<Kind, Set<string>>()
    for (const change of changes) {
      this.#claim(change, unapplied, true)
      this.#announced.add(change.object)
    }
  }

  /**
   * Forgets every object that was not announced, and compares everything with the kernel. With
   * `spareOthers` leftovers about other hosts stay: what was announced may be older than they are.
   */
  resync(spareOthers = false): Repair {
    const touched = new Map<Kind, Set<string>>()
    for (const object of this.#claimed.keys()) {
      if (!this.#announced.has(object)) this.#claim({ object, wanted: [] }, touched, false)
    }
    this.#announced.clear()
    return this.audit({ kinds: KIND_ORDER }, spareOthers)
  }

  /** Puts everything again that the object wants who wants the thing at this key. */
  reapply(kind: Kind, key: string): readonly Failure[] {
    const object = this.#slotsOf(kind).get(key)?.claim?.object
    if (object === undefined) return []
    const touched = new Map<Kind, Set<string>>()
    for (const [eachKind, eachKey] of this.#claimedBy(object)) {
      const slots = this.#slotsOf(eachKind)
      const slot = slots.get(eachKey)
      if (slot !== undefined) slots.set(eachKey, doubting(slot, slot.applied))
      touch(touched, eachKind, eachKey)
    }
    return this.#settle(touched)
  }

  /** Takes away everything that the object wants who wants the thing at this key, until it asks again. */
  abandon(kind: Kind, key: string): readonly Failure[] {
    const object = this.#slotsOf(kind).get(key)?.claim?.object
    return object === undefined ? [] : this.apply([{ object, wanted: [] }])
  }

  /** Reads things from the kernel again and puts right what differs. */
  audit(scope: AuditScope, spareOthers = false): Repair {
    const repaired: Partial<Record<Kind, number>> = {}
    const failures: Failure[] = []
    const touched = new Map<Kind, Set<string>>()
    const kinds = 'kinds' in scope ? scope.kinds : [scope.kind]
    for (const kind of KIND_ORDER.filter((each) => kinds.includes(each))) {
      try {
        const differing = this.#refresh(kind, this.#keysIn(scope, kind), spareOthers)
        if (differing.size > 0) {
          repaired[kind] = differing.size
          touched.set(kind, differing)
        }
      } catch (error) {
        failures.push(failureOf(NOBODY, error))
      }
    }
    return { repaired, failures: [...failures, ...this.#settle(touched)] }
  }

  /** How many things of one kind are wanted or there. */
  countOf(kind: Kind): number {
    return this.#slotsOf(kind).size
  }

  /** Keys of what is wanted of one kind or there; what comes meanwhile may be left out. */
  keysOf(kind: Kind): Iterator<string> {
    return this.#slotsOf(kind).keys()
  }

  /** The thing wanted at a key, if any. */
  wantedAt(kind: Kind, key: string): Wanted | undefined {
    const slot = this.#slotsOf(kind).get(key)
    return slot?.claim?.want
  }

  #claim(
    { object, wanted }: ObjectChange,
    touched: Map<Kind, Set<string>>,
    announced: boolean,
  ): void {
    for (const [kind, key] of this.#claimedBy(object)) {
      const slots = this.#slotsOf(kind)
      const slot = slots.get(key)
      if (slot !== undefined) slots.set(key, withdraw(slot, object))
      touch(touched, kind, key)
    }
    for (const want of wanted) {
      const slots = this.#slotsOf(want.kind)
      const key = keyOf(want)
      const slot = enter(slots.get(key) ?? EMPTY, { object, want })
      if (announced) slots.announce(key, slot)
      else slots.set(key, slot)
      touch(touched, want.kind, key)
    }
    if (wanted.length === 0) this.#claimed.delete(object)
    else this.#claimed.set(object, JSON.stringify(wanted.map((want) => [want.kind, keyOf(want)])))
  }

  #claimedBy(object: ObjectKey): readonly (readonly [Kind, string])[] {
    const claimed = this.#claimed.get(object)
    return claimed === undefined ? [] : JSON.parse(claimed) // written by #claim()
  }

  /** Believes the kernel, not memory, and tells the keys where they differed. */
  #refresh(kind: Kind, among: ReadonlySet<string> | undefined, spareOthers: boolean): Set<string> {
    const slots = this.#slotsOf(kind)
    const resource = this.#resource(kind)
    const differing = new Set<string>()
    const found = new Set<string>()
    const inScope = (key: string): boolean => among === undefined || among.has(key)
    const whole = among === undefined
    const wanted = whole && resource.listsAlone === true ? [] : this.#wanted(kind, among)
    for (const have of resource.list(wanted, whole)) {
      const key = keyOf(have)
      if (!inScope(key)) continue
      found.add(key)
      const slot = slots.get(key)
      if (slot === undefined) {
        if (spareOthers && isAboutOthers(have)) continue
        slots.set(key, { ...EMPTY, applied: have })
        differing.add(key)
        continue
      }
      const want = slot.claim?.want
      const same = want !== undefined && resource.equal(want, have)
      slots.set(key, believing(slot, same ? want : have))
      if (!same) differing.add(key)
    }
    for (const key of among ?? slots.keys()) {
      const slot = slots.get(key)
      if (slot === undefined || found.has(key)) continue
      slots.set(key, believing(slot, undefined))
      if (slot.claim !== undefined) differing.add(key)
      else slots.delete(key)
    }
    return differing
  }

  /** Undefined: whatever there is of the kind. */
  #keysIn(scope: AuditScope, kind: Kind): ReadonlySet<string> | undefined {
    if ('keys' in scope) return new Set(scope.keys)
    if (!scope.inPlace?.includes(kind)) return undefined
    return new Set(this.#wanted(kind).map(keyOf))
  }

  #wanted(kind: Kind, among?: ReadonlySet<string>): readonly Wanted[] {
    const slots = this.#slotsOf(kind)
    return Array.from(among ?? slots.keys(), (key) => slots.get(key)?.claim?.want ?? []).flat()
  }

  /** Removes in reverse order of kinds, then puts in order; an object's first failure ends its part. */
  #settle(touched: ReadonlyMap<Kind, ReadonlySet<string>>): readonly Failure[] {
    const failures = new Map<ObjectKey, Failure>()
    for (const kind of KIND_ORDER.toReversed()) this.#removeUnclaimed(kind, touched, failures)
    for (const kind of KIND_ORDER) this.#putClaimed(kind, touched, failures)
    return [...failures.values()]
  }

  #removeUnclaimed(
    kind: Kind,
    touched: ReadonlyMap<Kind, ReadonlySet<string>>,
    failures: Map<ObjectKey, Failure>,
  ): void {
    const slots = this.#slotsOf(kind)
    const resource = this.#resource(kind)
    const due: { key: string; have: Wanted }[] = []
    for (const key of touched.get(kind) ?? []) {
      const slot = slots.get(key)
      if (slot === undefined || slot.claim !== undefined) continue
      const have = slot.applied ?? slot.doubted
      if (have === undefined) slots.delete(key)
      else due.push({ key, have })
    }
    if (resource.removeMany !== undefined && due.length > 1) {
      try {
        resource.removeMany(due.map(({ have }) => have))
        for (const { key } of due) slots.delete(key)
        this.#onStep(`remove ${kind}`)
        return
      } catch (error) {
        if (!isNetworkError(error)) throw error
        // One of them was refused: remove each by itself.
      }
    }
    for (const { key, have } of due) {
      try {
        resource.remove(have)
        slots.delete(key)
        this.#onStep(`remove ${kind}`)
      } catch (error) {
        failures.set(NOBODY, failureOf(NOBODY, error))
      }
    }
  }

  #putClaimed(
    kind: Kind,
    touched: ReadonlyMap<Kind, ReadonlySet<string>>,
    failures: Map<ObjectKey, Failure>,
  ): void {
    const slots = this.#slotsOf(kind)
    const resource = this.#resource(kind)
    const due: { key: string; slot: Slot; want: Wanted; object: ObjectKey }[] = []
    for (const key of touched.get(kind) ?? []) {
      const slot = slots.get(key)
      const claim = slot?.claim
      if (slot === undefined || claim === undefined || failures.has(claim.object)) continue
      if (slot.applied === undefined || !sameData(slot.applied, claim.want)) {
        due.push({ key, slot, ...claim })
      }
    }
    if (resource.putMany !== undefined && due.length > 1) {
      try {
        resource.putMany(due.map(({ want }) => want))
        for (const { key, slot, want } of due) slots.set(key, believing(slot, want))
        this.#onStep(`put ${kind}`)
        return
      } catch (error) {
        if (!isNetworkError(error)) throw error
        // One of them was refused: put each by itself, to tell whose it was.
      }
    }
    for (const { key, slot, want, object } of due) {
      try {
        resource.put(want)
        slots.set(key, believing(slot, want))
        this.#onStep(`put ${kind}`)
      } catch (error) {
        slots.set(key, doubting(slot, slot.applied ?? want))
        failures.set(object, failureOf(object, error))
      }
    }
  }

  #slotsOf(kind: Kind): Slots {
    const slots = this.#slots.get(kind)
    if (slots === undefined) throw new Error(`no slots for kind ${kind}`)
    return slots
  }

  /** The resource of a kind takes that kind's things only; the slots keep kinds apart. */
  #resource(kind: Kind): Resource {
    return this.#resources[kind] as unknown as Resource
  }
}

/** Of these, all may concern networks and hosts that the replica knows of only when the store was listed. */
export const OTHERS_KINDS: readonly Kind[] = [
  ...(['network', 'direct-prefix', 'peer'] as const),
  ...(['gateway', 'gateway-entry', 'gateway-rules', 'host-route'] as const),
]

/** What stands in the kernel for the sake of other hosts. */
function isAboutOthers(have: Wanted): boolean {
  if (have.kind === 'endpoint') return 'hostIndex' in have.at || have.host === true
  return OTHERS_KINDS.includes(have.kind)
}

const EMPTY: Slot = { claim: undefined, others: [], applied: undefined }

/** Adds a claim; the greatest object key stands first. */
function enter({ claim: first, others, ...there }: Slot, claim: Claim): Slot {
  if (first === undefined) return { claim, others, ...there }
  const [winner, loser] = claim.object > first.object ? [claim, first] : [first, claim]
  return { claim: winner, others: [...others, loser], ...there }
}

/** In two passes: what every published port claims is claimed by hundreds. */
function withdraw({ claim, others, ...there }: Slot, object: ObjectKey): Slot {
  const left = others.filter((each) => each.object !== object)
  if (claim?.object !== object) return { claim, others: left, ...there }
  const [first, ...rest] = left
  if (first === undefined) return { ...EMPTY, ...there }
  const next = rest.reduce((best, each) => (each.object > best.object ? each : best), first)
  return { claim: next, others: left.filter((each) => each !== next), ...there }
}

/** It was put, or looked for. */
function believing({ claim, others }: Slot, applied: Wanted | undefined): Slot {
  return { claim, others, applied }
}

/** It is put anew, or was not put: what may be there is removed with the claim, if nobody looks before. */
function doubting({ claim, others, doubted }: Slot, perhaps: Wanted | undefined): Slot {
  const left = perhaps ?? doubted
  return { claim, others, applied: undefined, ...(left === undefined ? {} : { doubted: left }) }
}

function touch(touched: Map<Kind, Set<string>>, kind: Kind, key: string): void {
  const keys = touched.get(kind)
  if (keys === undefined) touched.set(kind, new Set([key]))
  else keys.add(key)
}

function failureOf(object: ObjectKey, error: unknown): Failure {
  if (!(error instanceof NetworkError)) throw error
  return { object, code: error.code, message: messageOf(error) }
}
