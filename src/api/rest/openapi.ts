/** The OpenAPI 3.1 document of the API, made from the operations and schemas that check requests. */

import { z } from 'zod'
import { type Operation, operations } from './contract.ts'
import { Problem } from './schemas.ts'

type Json = Record<string, unknown>

/** The document for this version of the program, as plain data. */
export function openApiDocument(version: string): Json {
  const paths: Record<string, Json> = {}
  const schemas: Record<string, Json> = {}
  for (const [operationId, operation] of Object.entries<Operation>(operations)) {
    const item = paths[operation.path] ?? {}
    item[operation.method.toLowerCase()] = describe(operationId, operation, schemas)
    paths[operation.path] = item
  }
  paths['/v1/openapi.json'] = {
    get: {
      operationId: 'getOpenApi',
      summary: 'This document',
      responses: { 200: { description: 'OK', content: { 'application/json': {} } } },
    },
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Carrick', version, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    servers: [{ url: 'http://carrick', description: 'Over the unix socket of the daemon' }],
    paths,
    components: { schemas: sorted(schemas) },
  }
}

function describe(operationId: string, operation: Operation, schemas: Record<string, Json>): Json {
  const { success } = operation
  const content: Record<string, Json> = {}
  if (success.schema !== undefined) {
    content['application/json'] = { schema: reference(success.schema, 'output', schemas) }
  }
  if (operation.watchable === true) {
    content['text/event-stream'] = { schema: { type: 'string' } }
  }
  return {
    operationId,
    summary: operation.summary,
    parameters: [...pathParameters(operation.path), ...queryParameters(operation.query)],
    ...(operation.body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: {
              'application/json': { schema: reference(operation.body, 'input', schemas) },
            },
          },
        }),
    responses: {
      [success.status]: {
        description: success.status === 204 ? 'Done, or nothing was there' : 'OK',
        ...(Object.keys(content).length === 0 ? {} : { content }),
      },
      default: {
        description: 'RFC 9457 problem',
        content: { 'application/problem+json': { schema: reference(Problem, 'output', schemas) } },
      },
    },
  }
}

function pathParameters(path: string): Json[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))
}

function queryParameters(query: z.ZodObject): Json[] {
  return Object.entries(query.shape).map(([name, type]) => {
    const { $schema: _, description, ...schema } = z.toJSONSchema(type, { io: 'input' })
    return { name, in: 'query', ...(description === undefined ? {} : { description }), schema }
  })
}

/** Puts a named schema, and those it names, under components, and answers the reference to it. */
function reference(type: z.ZodType, io: 'input' | 'output', schemas: Record<string, Json>): Json {
  const name = type.meta()?.id
  if (name === undefined) throw new Error('A schema of an operation has no id')
  const { $schema: _, $defs = {}, ...schema } = z.toJSONSchema(type, { io }) as Json
  const named = { [name]: schema, ...($defs as Record<string, Json>) } // a $def of that name is the whole
  for (const [key, inner] of Object.entries(named)) schemas[key] = rewritten(inner)
  return { $ref: `#/components/schemas/${name}` }
}

/** `$defs` of one schema become components of the document. */
function rewritten(schema: Json): Json {
  const { id: _, ...rest } = JSON.parse(
    JSON.stringify(schema).replaceAll('"#/$defs/', '"#/components/schemas/'),
  )
  return rest
}

function sorted(record: Record<string, Json>): Json {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))
}
