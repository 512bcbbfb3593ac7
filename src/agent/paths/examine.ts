/**
 * Looks at one way to another host by asking questions of chosen sizes, until it is known what passes. On a
 * way that is as it should be that is one datagram of full size and one stream. A question that is not
 * answered is asked again: only what never comes through counts.
 */

export interface Question {
  /** Of the whole packet, from the outer IP header on. */
  readonly sizeBytes: number
  /** `left`: the checksum is left to the hardware, as containers do; `done`: the kernel sums up itself. */
  readonly checksum: 'left' | 'done'
  /** May be sent in pieces; otherwise it is one packet, or none. */
  readonly inPieces?: boolean
}

/** One way to one host. */
export interface PathLink {
  /** True when the question arrived whole and was answered in time. */
  ask(question: Question): Promise<boolean>
  /** True when a stream of full segments arrived whole and was answered in time. */
  stream(): Promise<boolean>
}

export interface Examination {
  /** False: nothing at all was answered, which says nothing about the way. */
  readonly answered: boolean
  /** The largest packet that passes. */
  readonly mtuBytes: number
  /** Undefined: not tried, or it cannot be told; as for the others. */
  readonly checksums: 'right' | 'wrong' | undefined
  readonly pieces: 'pass' | 'vanish' | undefined
  readonly streams: 'pass' | 'stall' | undefined
}

export interface Expectations {
  /** What should pass. */
  readonly expectedBytes: number
  /** What containers are held to now; a stream can only be tried when that passes. */
  readonly limitBytes: number
  /** Without an outer header packets may come in pieces, and nobody's checksum is inside another's. */
  readonly bare: boolean
}

/** Passes wherever IP does, headers of all kinds included. RFC 791, RFC 8200 */
const SMALL_BYTES = 300
const TRIES = 3
/** To say that checksums are wrong takes this many questions of each kind. */
const CHECKSUM_TRIES = 5
const MOST_SILENT = 1
const STREAM_TRIES = 2

/** Takes some round trips on a good way, a few seconds on a bad one. */
export async function examinePath(link: PathLink, want: Expectations): Promise<Examination> {
  const full = { sizeBytes: want.expectedBytes, checksum: 'left' } as const
  if (await passes(link, full)) {
    return {
      answered: true,
      mtuBytes: want.expectedBytes,
      checksums: want.bare ? undefined : 'right',
      pieces: want.bare ? await piecesPass(link, want) : undefined,
      streams: await streamPasses(link),
    }
  }
  const checksums = await compareChecksums(link)
  if (checksums === undefined) return SILENT
  const checksum = checksums === 'wrong' ? 'done' : 'left'
  const mtuBytes = await largest(link, want.expectedBytes, checksum)
  const streamable = checksums === 'right' && !want.bare && mtuBytes >= want.limitBytes
  return {
    answered: true,
    mtuBytes,
    checksums: want.bare ? undefined : checksums,
    pieces: undefined,
    streams: streamable ? await streamPasses(link) : undefined,
  }
}

const SILENT: Examination = {
  answered: false,
  mtuBytes: 0,
  checksums: undefined,
  pieces: undefined,
  streams: undefined,
}

async function passes(link: PathLink, question: Question): Promise<boolean> {
  for (let i = 0; i < TRIES; i++) if (await link.ask(question)) return true
  return false
}

/** Wrong when what the kernel summed up passes and what it left to the hardware never does. */
async function compareChecksums(link: PathLink): Promise<Examination['checksums']> {
  if (await passes(link, { sizeBytes: SMALL_BYTES, checksum: 'left' })) return 'right'
  let silent = 0
  for (let i = 0; i < CHECKSUM_TRIES; i++) {
    if (!(await link.ask({ sizeBytes: SMALL_BYTES, checksum: 'done' }))) silent++
    if (silent > MOST_SILENT) return undefined
    if (await link.ask({ sizeBytes: SMALL_BYTES, checksum: 'left' })) return 'right'
  }
  return 'wrong'
}

/** Halves what is between a size that passes and one that does not. */
async function largest(
  link: PathLink,
  expectedBytes: number,
  checksum: Question['checksum'],
): Promise<number> {
  let passing = SMALL_BYTES
  let failing = expectedBytes + 1
  // What was just seen to fail, with other checksums perhaps for another reason.
  for (let sizeBytes = expectedBytes; failing - passing > 1; ) {
    if (await passes(link, { sizeBytes, checksum })) passing = sizeBytes
    else failing = sizeBytes
    sizeBytes = Math.floor((passing + failing) / 2)
  }
  return passing
}

/** One that needs two pieces, the first of them full. */
async function piecesPass(
  link: PathLink,
  { expectedBytes }: Expectations,
): Promise<Examination['pieces']> {
  const sizeBytes = expectedBytes + SMALL_BYTES
  const through = await passes(link, { sizeBytes, checksum: 'done', inPieces: true })
  return through ? 'pass' : 'vanish'
}

async function streamPasses(link: PathLink): Promise<Examination['streams']> {
  for (let i = 0; i < STREAM_TRIES; i++) if (await link.stream()) return 'pass'
  return 'stall'
}
