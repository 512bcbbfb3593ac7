/**
 * A map from text to text whose entries stand as bytes in a few large pages. Tens of thousands of small
 * objects cost hundreds of bytes each, and the collector looks at every one of them; here an entry costs its
 * own length and some ten bytes more, and the collector sees none. In exchange every read makes new strings.
 *
 * A row is the length of its key, the length of its value, the key and the value. A row that was removed
 * stays as waste; a page that is mostly waste is given up, its rows move to the newest page.
 */

class Page {
  readonly #bytes: Buffer
  /** Where the next row begins. */
  end = 0
  /** Bytes of rows that were removed. */
  wasted = 0

  constructor(size: number) {
    this.#bytes = Buffer.alloc(size)
  }

  fits(size: number): boolean {
    return this.end + size <= this.#bytes.length
  }

  get isMostlyWaste(): boolean {
    return this.wasted * 2 > this.#bytes.length
  }

  /** Adds a row, which must fit, and tells where it begins. */
  append(key: Key, value: string, valueBytes: number): number {
    const at = this.end
    this.#bytes.writeUInt16LE(key.length, at)
    this.#bytes.writeUInt32LE(valueBytes, at + VALUE_LENGTH_AT)
    this.#bytes.set(key.bytes.subarray(0, key.length), at + HEADER_BYTES)
    this.#bytes.write(value, at + HEADER_BYTES + key.length)
    this.end += HEADER_BYTES + key.length + valueBytes
    return at
  }

  key(at: number): string {
    const from = at + HEADER_BYTES
    return this.#bytes.toString('utf8', from, from + this.#bytes.readUInt16LE(at))
  }

  value(at: number): string {
    const from = this.#valueAt(at)
    return this.#bytes.toString('utf8', from, from + this.valueLength(at))
  }

  /** Bytes of the value. */
  valueLength(at: number): number {
    return this.#bytes.readUInt32LE(at + VALUE_LENGTH_AT) & ~REMOVED
  }

  /** Writes a value that is as long as the old one. */
  replace(at: number, value: string): void {
    this.#bytes.write(value, this.#valueAt(at))
  }

  hasKey(at: number, { bytes, length }: Key): boolean {
    if (this.#bytes.readUInt16LE(at) !== length) return false
    for (let i = 0; i < length; i++)
      if (this.#bytes[at + HEADER_BYTES + i] !== bytes[i]) return false
    return true
  }

  valueBegins(at: number, beginning: Uint8Array): boolean {
    if (this.valueLength(at) < beginning.length) return false
    const from = this.#valueAt(at)
    for (let i = 0; i < beginning.length; i++) {
      if (this.#bytes[from + i] !== beginning[i]) return false
    }
    return true
  }

  remove(at: number): void {
    this.wasted += this.#rowBytes(at)
    this.#bytes.writeUInt32LE((this.valueLength(at) | REMOVED) >>> 0, at + VALUE_LENGTH_AT)
  }

  /** Where the rows begin that stand before `end` and were not removed. */
  *rows(end: number): Generator<number> {
    for (let at = 0; at < end; at += this.#rowBytes(at)) {
      if ((this.#bytes.readUInt32LE(at + VALUE_LENGTH_AT) & REMOVED) === 0) yield at
    }
  }

  #valueAt(at: number): number {
    return at + HEADER_BYTES + this.#bytes.readUInt16LE(at)
  }

  #rowBytes(at: number): number {
    return HEADER_BYTES + this.#bytes.readUInt16LE(at) + this.valueLength(at)
  }
}

/** A key as bytes, of which the first `length` count. */
class Key {
  bytes = new Uint8Array(64)
  length = 0

  set(text: string): void {
    if (this.bytes.length < text.length * 3) this.bytes = new Uint8Array(text.length * 3)
    this.length = encoder.encodeInto(text, this.bytes).written
  }

  /** FNV-1a, 32 bits. */
  get hash(): number {
    let hash = 0x811c9dc5
    for (let i = 0; i < this.length; i++) {
      hash = Math.imul(hash ^ (this.bytes[i] ?? 0), 0x01000193)
    }
    return hash >>> 0
  }
}

/** A row by its page and where it begins there: `page * PAGE_BYTES + at`. */
type Place = number

/** A row that is longer has a page of its own. */
const PAGE_BYTES = 1 << 16
const VALUE_LENGTH_AT = 2
const HEADER_BYTES = 6
const LONGEST_KEY = 0xffff
/** Stands in the length of a value whose row was removed. */
const REMOVED = 1 << 31

/** What a seat has that was never taken, one whose entry was removed, and one whose row is at place 0. */
const FREE = 0
const LEFT = 1
const TAKEN = 2
const FEWEST_SEATS = 16

const encoder = new TextEncoder()

export class PackedMap {
  readonly #pages = new Map<number, Page>()
  /** Number of the page that new rows are added to. */
  #newest = 0
  /** Open addressing in single steps: a seat has TAKEN + place, or FREE or LEFT. */
  #seats = new Uint32Array(FEWEST_SEATS)
  /** Seats that are not free. */
  #used = 0
  #size = 0
  /** What is being looked for. */
  readonly #key = new Key()

  get size(): number {
    return this.#size
  }

  get(key: string): string | undefined {
    const seat = this.#find(key)
    if (seat === undefined) return undefined
    const { page, at } = this.#rowIn(seat)
    return page.value(at)
  }

  /** Throws for a key of more than 65,535 bytes. */
  set(key: string, value: string): void {
    const valueBytes = Buffer.byteLength(value)
    const seat = this.#find(key)
    if (seat === undefined) {
      if ((this.#used + 1) * 4 > this.#seats.length * 3) this.#reseat()
      this.#key.set(key)
      this.#seat(this.#key.hash, this.#append(this.#key, value, valueBytes))
      this.#size++
      return
    }
    const { number, page, at } = this.#rowIn(seat)
    if (page.valueLength(at) === valueBytes) {
      page.replace(at, value)
      return
    }
    page.remove(at)
    this.#seats[seat] = TAKEN + this.#append(this.#key, value, valueBytes)
    this.#tidy(number, page)
  }

  /** True when there was such an entry. */
  delete(key: string): boolean {
    const seat = this.#find(key)
    if (seat === undefined) return false
    const { number, page, at } = this.#rowIn(seat)
    page.remove(at)
    this.#seats[seat] = LEFT
    this.#size--
    this.#tidy(number, page)
    return true
  }

  clear(): void {
    this.#pages.clear()
    this.#seats = new Uint32Array(FEWEST_SEATS)
    this.#used = 0
    this.#size = 0
  }

  /** In no order. What is added, changed or removed meanwhile may be seen or not. */
  *keys(): Generator<string> {
    for (const { page, at } of this.#rows()) yield page.key(at)
  }

  /**
   * In no order, of those values that begin so. What is added, changed or removed meanwhile may be seen or
   * not.
   */
  *values(beginning = ''): Generator<string> {
    const begins = encoder.encode(beginning)
    for (const { page, at } of this.#rows()) if (page.valueBegins(at, begins)) yield page.value(at)
  }

  *#rows(): Generator<{ readonly page: Page; readonly at: number }> {
    const pages = Array.from(this.#pages.values(), (page) => ({ page, end: page.end }))
    for (const { page, end } of pages) for (const at of page.rows(end)) yield { page, at }
  }

  /** The seat of a key, if it has one; `#key` is set to it. */
  #find(key: string): number | undefined {
    this.#key.set(key)
    if (this.#key.length > LONGEST_KEY)
      throw new Error(`a key of ${key.length} letters is too long`)
    const mask = this.#seats.length - 1
    for (let seat = this.#key.hash & mask; ; seat = (seat + 1) & mask) {
      const taken = this.#seats[seat] ?? FREE
      if (taken === FREE) return undefined
      if (taken === LEFT) continue
      const { page, at } = this.#rowIn(seat)
      if (page.hasKey(at, this.#key)) return seat
    }
  }

  #rowIn(seat: number): { readonly number: number; readonly page: Page; readonly at: number } {
    const place: Place = (this.#seats[seat] ?? FREE) - TAKEN
    const number = Math.floor(place / PAGE_BYTES)
    const page = this.#pages.get(number)
    if (page === undefined) throw new Error(`no row at place ${place}`)
    return { number, page, at: place % PAGE_BYTES }
  }

  /** Gives a row, whose key has none, the first seat for its hash. */
  #seat(hash: number, place: Place): void {
    const mask = this.#seats.length - 1
    let seat = hash & mask
    while ((this.#seats[seat] ?? FREE) >= TAKEN) seat = (seat + 1) & mask
    if (this.#seats[seat] === FREE) this.#used++
    this.#seats[seat] = TAKEN + place
  }

  /** Makes room for twice as many, and forgets who left. */
  #reseat(): void {
    let seats = FEWEST_SEATS
    while (seats < (this.#size + 1) * 2) seats *= 2
    this.#seats = new Uint32Array(seats)
    this.#used = 0
    for (const [number, page] of this.#pages) {
      for (const at of page.rows(page.end)) {
        this.#key.set(page.key(at))
        this.#seat(this.#key.hash, number * PAGE_BYTES + at)
      }
    }
  }

  #append(key: Key, value: string, valueBytes: number): Place {
    const size = HEADER_BYTES + key.length + valueBytes
    let page = this.#pages.get(this.#newest)
    if (page?.fits(size) !== true) page = this.#open(size)
    return this.#newest * PAGE_BYTES + page.append(key, value, valueBytes)
  }

  #open(size: number): Page {
    const page = new Page(Math.max(PAGE_BYTES, size))
    for (this.#newest = 0; this.#pages.has(this.#newest); ) this.#newest++
    this.#pages.set(this.#newest, page)
    return page
  }

  /** Gives the page up when most of it is waste. */
  #tidy(number: number, page: Page): void {
    if (!page.isMostlyWaste) return
    if (number === this.#newest) this.#open(PAGE_BYTES)
    for (const at of page.rows(page.end)) {
      this.#key.set(page.key(at))
      const place = this.#append(this.#key, page.value(at), page.valueLength(at))
      this.#move(this.#key.hash, number * PAGE_BYTES + at, place)
    }
    this.#pages.delete(number)
  }

  #move(hash: number, from: Place, to: Place): void {
    const mask = this.#seats.length - 1
    let seat = hash & mask
    while (this.#seats[seat] !== TAKEN + from) seat = (seat + 1) & mask
    this.#seats[seat] = TAKEN + to
  }
}
