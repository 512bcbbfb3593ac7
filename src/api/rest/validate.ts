/** Checks what came in against a schema and tells every wrong field at once. */

import type { z } from 'zod'
import { type FieldError, NetworkError } from '../../lib/errors.ts'
import { nearest } from '../../lib/nearest.ts'

/** The value as the schema has it; throws `invalid` with one entry per wrong field. */
export function validate<S extends z.ZodType>(
  schema: S,
  value: unknown,
  what: string,
): z.output<S> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const byPointer = new Map<string, FieldError>()
  for (const field of result.error.issues.flatMap((issue) => fieldErrors(issue, schema))) {
    if (!byPointer.has(field.pointer)) byPointer.set(field.pointer, field) // the first is the plainest
  }
  const fields = [...byPointer.values()]
  const list = fields.map(({ pointer, message }) => `${pointer || '/'}: ${message}`).join('; ')
  throw new NetworkError('invalid', `Cannot accept ${what}: ${list}`, { fields })
}

function fieldErrors(issue: z.core.$ZodIssue, schema: z.ZodType): FieldError[] {
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(schema, issue.path)
    return issue.keys.map((key) => {
      const meant = nearest(key, known)
      const message = `unknown field${meant === undefined ? '' : `, did you mean "${meant}"?`}`
      return { pointer: pointerOf([...issue.path, key]), message }
    })
  }
  return [{ pointer: pointerOf(issue.path), message: lowerFirst(issue.message) }]
}

/** RFC 6901. */
function pointerOf(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}

/** Keys of the object schema at the path; none where the path leaves plain objects. */
function knownKeys(schema: z.ZodType, path: readonly PropertyKey[]): readonly string[] {
  let at: unknown = schema
  for (const part of path) at = shapeOf(unwrapped(at))?.[String(part)]
  return Object.keys(shapeOf(unwrapped(at)) ?? {})
}

function unwrapped(schema: unknown): unknown {
  const inner = (schema as { unwrap?: () => unknown } | undefined)?.unwrap // zod's optional, readonly
  return typeof inner === 'function' ? unwrapped(inner.call(schema)) : schema
}

function shapeOf(schema: unknown): Record<string, unknown> | undefined {
  return (schema as { shape?: Record<string, unknown> } | undefined)?.shape // zod's objects
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1)
}
