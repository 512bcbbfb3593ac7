/**
 * A request's body as JSON, with the limits of conventions §6: 1 MiB, depth 32, no key twice, no key that
 * means something to JavaScript. JSON.parse keeps the last of two equal keys in silence, so the text is
 * looked through before it is parsed.
 */

import { type FieldError, NetworkError } from '../../lib/errors.ts'
import { readBytes } from '../request-bytes.ts'
import { HttpError } from './problem.ts'

const BODY_BYTES = 1024 * 1024
const DEPTH = 32
const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor'])

/** Reads and parses the body; throws HttpError 413 or 415, or `invalid`. */
export async function readJsonBody(request: Request): Promise<unknown> {
  const type = request.headers.get('content-type') ?? ''
  if (!/^application\/(merge-patch\+)?json\s*(;.*)?$/i.test(type)) {
    throw new HttpError(
      415,
      'invalid',
      `Cannot read the body: Content-Type is "${type}", not application/json`,
    )
  }
  const bytes = await readBytes(request, BODY_BYTES)
  if (bytes === undefined) {
    throw new HttpError(413, 'invalid', `Cannot read the body: more than ${BODY_BYTES} bytes`)
  }
  return parseJson(decode(bytes))
}

/** Parses JSON text; throws `invalid` with a pointer to every key that must not be there. */
export function parseJson(text: string): unknown {
  const fields = wrongKeys(text)
  if (fields.length > 0) {
    throw new NetworkError(
      'invalid',
      `Cannot read the body: ${fields.map((f) => f.message).join(', ')}`,
      { fields },
    )
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    throw new NetworkError('invalid', `Cannot read the body: it is not JSON: ${error.message}`)
  }
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new NetworkError('invalid', 'Cannot read the body: it is not UTF-8', { cause })
  }
}

interface Level {
  /** Keys seen so far; undefined in an array. */
  readonly keys: Set<string> | undefined
  readonly pointer: string
  /** The key, or the number of the item, that the scan is inside of. */
  at: string | number
}

/** Looks at structure only, so it may be given text that is no JSON: JSON.parse will say so. */
function wrongKeys(text: string): FieldError[] {
  const wrong: FieldError[] = []
  const levels: Level[] = []
  let isKey = false
  for (let i = 0; i < text.length; i++) {
    const level = levels.at(-1)
    switch (text[i]) {
      case '{':
      case '[': {
        const object = text[i] === '{'
        if (levels.length === DEPTH) return [...wrong, tooDeep(level)]
        levels.push({
          keys: object ? new Set() : undefined,
          pointer: level === undefined ? '' : `${level.pointer}/${level.at}`,
          at: object ? '' : 0,
        })
        isKey = object
        break
      }
      case '}':
      case ']':
        levels.pop()
        isKey = false
        break
      case ',':
        if (level?.keys === undefined && typeof level?.at === 'number') level.at++
        isKey = level?.keys !== undefined
        break
      case '"': {
        const end = endOfString(text, i)
        if (isKey && level?.keys !== undefined) {
          const key = unquoted(text.slice(i, end + 1))
          level.at = key.replaceAll('~', '~0').replaceAll('/', '~1') // RFC 6901 §3
          const message = problemWithKey(key, level.keys)
          if (message !== undefined) {
            wrong.push({ pointer: `${level.pointer}/${level.at}`, message })
          }
          level.keys.add(key)
          isKey = false
        }
        i = end
        break
      }
    }
  }
  return wrong
}

function tooDeep(level: Level | undefined): FieldError {
  return { pointer: level?.pointer ?? '', message: `nested deeper than ${DEPTH} levels` }
}

function problemWithKey(key: string, seen: ReadonlySet<string>): string | undefined {
  if (FORBIDDEN_KEYS.has(key)) return `the key "${key}" is not allowed`
  return seen.has(key) ? `the key "${key}" stands twice` : undefined
}

/** Index of the closing quote, or of the end of the text. */
function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === '\\') i++
    else if (text[i] === '"') return i
  }
  return text.length
}

/** The key that the quoted text stands for, escapes resolved; the raw text when it is malformed. */
function unquoted(quoted: string): string {
  if (!quoted.includes('\\')) return quoted.slice(1, -1)
  try {
    return String(JSON.parse(quoted))
  } catch {
    return quoted // malformed: JSON.parse of the whole body reports it
  }
}
