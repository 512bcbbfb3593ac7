/** HTTP/1.1 as far as one request to our own daemon needs it: RFC 9112, a body of known length, or in chunks. */

export interface Answer {
  readonly status: number
  readonly body: string
}

const VERSION = 'HTTP/1.1 '

/** A POST of JSON after which the connection ends. */
export function writePost(path: string, body: string): Uint8Array {
  const bytes = new TextEncoder().encode(body)
  const head = [
    `POST ${path} HTTP/1.1`,
    'host: carrick',
    'content-type: application/json',
    `content-length: ${bytes.length}`,
    'connection: close',
    '\r\n',
  ].join('\r\n')
  const message = new Uint8Array(head.length + bytes.length)
  new TextEncoder().encodeInto(head, message)
  message.set(bytes, head.length)
  return message
}

/** The answer that is complete in `bytes`; `more` when it is not yet, undefined for what is none. */
export function readAnswer(bytes: Uint8Array): Answer | 'more' | undefined {
  const end = endOfHead(bytes)
  const head = new TextDecoder().decode(bytes.subarray(0, end))
  if (!VERSION.startsWith(head.slice(0, VERSION.length))) return undefined
  if (end === undefined) return 'more'
  const [first = '', ...lines] = head.split('\r\n')
  const status = Number(first.slice(VERSION.length, VERSION.length + 3))
  if (!(status >= 200 && status <= 599)) return undefined
  const body = readBody(bytes.subarray(end), lines)
  if (body === undefined || body === 'more') return body
  return { status, body: new TextDecoder().decode(body) }
}

function readBody(rest: Uint8Array, lines: readonly string[]): Uint8Array | 'more' | undefined {
  const length = fieldIn(lines, 'content-length')
  if (length === undefined) {
    return fieldIn(lines, 'transfer-encoding') === 'chunked' ? readChunks(rest) : undefined
  }
  const bytes = Number(length)
  if (!Number.isSafeInteger(bytes) || bytes < 0) return undefined
  return rest.length < bytes ? 'more' : rest.subarray(0, bytes)
}

/** Without a regular expression: the runtime takes longer for its first one than for all the rest here. */
function fieldIn(lines: readonly string[], name: string): string | undefined {
  for (const line of lines) {
    const colon = line.indexOf(':')
    if (line.slice(0, colon).toLowerCase() === name) return line.slice(colon + 1).trim()
  }
  return undefined
}

/** Behind the empty line; undefined when there is none yet. */
function endOfHead(bytes: Uint8Array): number | undefined {
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) {
    if (bytes[at - 1] === 13 && bytes[at - 2] === 10 && bytes[at - 3] === 13) return at + 1
  }
  return undefined
}

/** RFC 9112 §7.1: each chunk is its length in hexadecimal, CRLF, that much, CRLF; the last has length 0. */
function readChunks(rest: Uint8Array): Uint8Array | 'more' | undefined {
  const parts: Uint8Array[] = []
  for (let at = 0; ; ) {
    const lineEnd = rest.indexOf(10, at)
    if (lineEnd < 0) return 'more'
    const line = new TextDecoder().decode(rest.subarray(at, lineEnd))
    if (!/^[0-9a-f]{1,7} *(;.*)?\r$/i.test(line)) return undefined
    const length = Number.parseInt(line, 16)
    if (length === 0) return joined(parts)
    const start = lineEnd + 1
    at = start + length + 2
    if (rest.length < at) return 'more'
    parts.push(rest.subarray(start, start + length))
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
