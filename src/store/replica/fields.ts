/** Fields of JSON documents whose author is not trusted: looked at one by one. */

export type Fields = Readonly<Record<string, unknown>>

/** The object that the text is; undefined when it is none. */
export function parseObject(text: string): Fields | undefined {
  try {
    return asObject(JSON.parse(text))
  } catch {
    return undefined // JSON.parse throws nothing but SyntaxError
  }
}

/** The value when it is an object and no array. */
export function asObject(value: unknown): Fields | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return value as Fields // an object that is no array has string keys
}

/** A parser of values from one of texts. */
export function textOf<T>(
  parse: (text: string) => T | undefined,
): (value: unknown) => T | undefined {
  return (value) => (typeof value === 'string' ? parse(value) : undefined)
}

/** Every element parsed, or undefined when one is not what it should be. */
export function listOf<T>(
  value: unknown,
  parse: (value: unknown) => T | undefined,
): T[] | undefined {
  if (!Array.isArray(value)) return undefined
  const found: T[] = []
  for (const element of value) {
    const parsed = parse(element)
    if (parsed === undefined) return undefined
    found.push(parsed)
  }
  return found
}
