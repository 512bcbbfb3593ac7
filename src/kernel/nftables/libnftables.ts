/**
 * nftables through its own library: commands in nft's language or JSON, one transaction a call. The
 * library is loaded at the first use, so that what needs no ruleset needs no library. libnftables(3)
 */
import { CString, dlopen, type Pointer } from 'bun:ffi'
import { NetworkError } from '../../lib/errors.ts'
import type { Nftables } from '../kernel.ts'
import type { NetlinkSocket } from '../netlink/socket.ts'
import { cString } from '../syscall.ts'
import { nftQueries } from './queries.ts'

/** nftables/libnftables.h NFT_CTX_OUTPUT_* */
const OUTPUT_JSON = 1 << 4
const OUTPUT_NUMERIC_ALL = (1 << 7) | (1 << 8) | (1 << 9) | (1 << 10)
const OUTPUT_TERSE = 1 << 11

function load() {
  return dlopen('libnftables.so.1', {
    nft_ctx_new: { args: ['u32'], returns: 'ptr' },
    nft_ctx_free: { args: ['ptr'], returns: 'void' },
    nft_ctx_buffer_output: { args: ['ptr'], returns: 'i32' },
    nft_ctx_buffer_error: { args: ['ptr'], returns: 'i32' },
    nft_ctx_get_output_buffer: { args: ['ptr'], returns: 'ptr' },
    nft_ctx_get_error_buffer: { args: ['ptr'], returns: 'ptr' },
    nft_ctx_output_set_flags: { args: ['ptr', 'u32'], returns: 'void' },
    nft_run_cmd_from_buffer: { args: ['ptr', 'ptr'], returns: 'i32' },
  }).symbols
}
type Library = ReturnType<typeof load>

interface Context {
  readonly library: Library
  readonly pointer: Address
}
/** What the runtime hands out and takes back as a pointer. */
type Address = Pointer | bigint

/** The ruleset of one namespace. The library's socket is opened inside it, at the first call. */
export class NftRuleset implements Nftables, Disposable {
  readonly tables
  readonly chains
  readonly rules
  readonly elements
  readonly legacyTables
  readonly change
  readonly #inside: <T>(work: () => T) => T
  #context: Context | undefined

  /** `open` gives a netfilter socket of the same namespace. */
  constructor(inside: <T>(work: () => T) => T, open: () => NetlinkSocket) {
    this.#inside = inside
    const queries = nftQueries(inside, open)
    this.tables = queries.tables
    this.chains = queries.chains
    this.rules = queries.rules
    this.elements = queries.elements
    this.legacyTables = queries.legacyTables
    this.change = queries.change
  }

  run(commands: string): void {
    this.#call(commands, 0)
  }

  runJson(document: { readonly nftables: readonly unknown[] }): void {
    this.#call(JSON.stringify(document), OUTPUT_JSON)
  }

  listTable(
    family: string,
    name: string,
    { terse = false }: { readonly terse?: boolean } = {},
  ): readonly Readonly<Record<string, unknown>>[] | undefined {
    return this.#list({ table: { family, name } }, terse ? OUTPUT_TERSE : 0)
  }

  listElements({
    kind,
    ...place
  }: Parameters<Nftables['listElements']>[0]): readonly unknown[] | undefined {
    const objects = this.#list({ [kind]: place }, 0)
    if (objects === undefined) return undefined
    const set = objects.find((each) => kind in each)?.[kind] as { elem?: unknown[] } | undefined
    return set?.elem ?? []
  }

  /** What a list command prints, or undefined when there is no such thing. */
  #list(what: unknown, flags: number): readonly Readonly<Record<string, unknown>>[] | undefined {
    const command = { nftables: [{ list: what }] }
    let text: string
    try {
      text = this.#call(JSON.stringify(command), OUTPUT_JSON | OUTPUT_NUMERIC_ALL | flags)
    } catch (error) {
      // The library tells errors as text only; this one is the C library's for ENOENT.
      if (error instanceof NetworkError && /No such file or directory/.test(error.message)) {
        return undefined
      }
      throw error
    }
    const { nftables } = JSON.parse(text) as { nftables: Record<string, unknown>[] }
    return nftables.filter((each) => !('metainfo' in each))
  }

  [Symbol.dispose](): void {
    if (this.#context !== undefined) this.#context.library.nft_ctx_free(this.#context.pointer)
    this.#context = undefined
  }

  /** Runs the text and gives what the library printed. */
  #call(text: string, outputFlags: number): string {
    const buffer = cString(text)
    return this.#inside(() => {
      const { library, pointer } = this.#open()
      library.nft_ctx_output_set_flags(pointer, outputFlags)
      const result = library.nft_run_cmd_from_buffer(pointer, buffer)
      const output = textAt(library.nft_ctx_get_output_buffer(pointer))
      const complaint = textAt(library.nft_ctx_get_error_buffer(pointer))
      if (result !== 0) {
        const reason = complaint.trim() === '' ? 'no reason given' : complaint.trim()
        throw new NetworkError('kernel', `Cannot change or list nftables: ${reason}`, {
          details: { operation: 'nftables', errno: errnoIn(reason), ack: reason },
        })
      }
      return output
    })
  }

  #open(): Context {
    if (this.#context !== undefined) return this.#context
    const library = loadOrExplain()
    const pointer = library.nft_ctx_new(0)
    if (pointer === null) throw new NetworkError('kernel', 'Cannot open nftables: no context')
    library.nft_ctx_buffer_output(pointer)
    library.nft_ctx_buffer_error(pointer)
    this.#context = { library, pointer }
    return this.#context
  }
}

function loadOrExplain(): Library {
  try {
    return load()
  } catch (cause) {
    throw new NetworkError(
      'unsupported',
      'Cannot use nftables: libnftables.so.1 is not installed',
      {
        hint: 'apt-get install libnftables1',
        cause,
      },
    )
  }
}

function textAt(pointer: Address | null): string {
  return pointer === null ? '' : new CString(pointer).toString()
}

/** The errno behind the C library's texts that callers tell apart; the syntax has none. */
function errnoIn(reason: string): string | undefined {
  if (reason.includes('No such file or directory')) return 'ENOENT'
  if (reason.includes('File exists')) return 'EEXIST'
  if (reason.includes('Device or resource busy')) return 'EBUSY'
  return reason.includes('Operation not permitted') ? 'EPERM' : undefined
}
