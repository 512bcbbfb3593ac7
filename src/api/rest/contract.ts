/**
 * Every operation of the REST API as data: method, path, what comes in, what goes out. The router checks
 * requests by it and the OpenAPI document is made from it, so the two cannot differ.
 */

import { z } from 'zod'
import { addressOperations } from './address-contract.ts'
import { Docker } from './docker-schemas.ts'
import * as endpointSchema from './endpoint-schemas.ts'
import * as networkSchema from './network-schemas.ts'
import * as schema from './schemas.ts'

export interface Operation {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** OpenAPI spelling: `/v1/networks/{network}`. */
  readonly path: string
  readonly summary: string
  readonly query: z.ZodObject
  readonly body?: z.ZodType
  readonly success: { readonly status: 200 | 201 | 204; readonly schema?: z.ZodType }
  /** Also answers `?watch=true` with server-sent events. */
  readonly watchable?: true
}

const flag = z.enum(['true', 'false']).optional()
const nothing = z.strictObject({})

/** Below the time after which the server cuts a silent connection. */
const LONGEST_WAIT_MS = 240_000

const settle = {
  wait: z.literal('settled').optional().meta({ description: 'Answer when the kernel reflects it' }),
  timeoutMs: z.coerce.number().int().min(1).max(LONGEST_WAIT_MS).optional(),
}

const page = {
  limit: z.coerce.number().int().min(1).max(1000).optional().meta({ description: 'Default 500' }),
  continue: z.string().max(255).optional(),
  labelSelector: z
    .string()
    .max(4096)
    .optional()
    .meta({ description: 'k=v, k!=v, k, !k; commas mean and' }),
  watch: flag,
}

export const operations = {
  ...addressOperations,
  listNetworks: {
    method: 'GET',
    path: '/v1/networks',
    summary: 'List networks',
    query: z.strictObject(page),
    success: { status: 200, schema: networkSchema.NetworkList },
    watchable: true,
  },
  createNetwork: {
    method: 'POST',
    path: '/v1/networks',
    summary: 'Create a network',
    query: z.strictObject({
      ...settle,
      force: flag.meta({ description: 'In spite of the routes and networks it overlaps' }),
    }),
    body: networkSchema.CreateNetwork,
    success: { status: 201, schema: networkSchema.Network },
  },
  getNetwork: {
    method: 'GET',
    path: '/v1/networks/{network}',
    summary: 'Read one network, by name, id or unique prefix of an id',
    query: nothing,
    success: { status: 200, schema: networkSchema.Network },
  },
  patchNetwork: {
    method: 'PATCH',
    path: '/v1/networks/{network}',
    summary: 'Change a network that may be in use, by merge patch; answers when it is done',
    query: z.strictObject({
      ...settle,
      force: flag.meta({ description: 'Add subnets in spite of what they overlap' }),
    }),
    body: networkSchema.PatchNetwork,
    success: { status: 200, schema: networkSchema.Network },
  },
  deleteNetwork: {
    method: 'DELETE',
    path: '/v1/networks/{network}',
    summary: 'Remove a network that no endpoint uses',
    query: z.strictObject(settle),
    success: { status: 204 },
  },
  listNetworkEndpoints: {
    method: 'GET',
    path: '/v1/networks/{network}/endpoints',
    summary: 'List the endpoints of a network',
    query: z.strictObject({ ...page, host: z.string().max(255).optional() }),
    success: { status: 200, schema: endpointSchema.EndpointList },
    watchable: true,
  },
  attach: {
    method: 'POST',
    path: '/v1/networks/{network}/endpoints',
    summary: 'Attach a network namespace; answers when it can be used',
    query: nothing,
    body: endpointSchema.Attach,
    success: { status: 201, schema: endpointSchema.Endpoint },
  },
  getNetworkEndpoint: {
    method: 'GET',
    path: '/v1/networks/{network}/endpoints/{endpoint}',
    summary: 'Read one endpoint of a network, by id, unique prefix of an id or name',
    query: nothing,
    success: { status: 200, schema: endpointSchema.Endpoint },
  },
  detachFromNetwork: {
    method: 'DELETE',
    path: '/v1/networks/{network}/endpoints/{endpoint}',
    summary: 'Detach an endpoint of a network',
    query: z.strictObject(settle),
    success: { status: 204 },
  },
  listEndpoints: {
    method: 'GET',
    path: '/v1/endpoints',
    summary: 'List the endpoints of all networks',
    query: z.strictObject({
      ...page,
      network: z.string().max(255).optional(),
      host: z.string().max(255).optional(),
    }),
    success: { status: 200, schema: endpointSchema.EndpointList },
    watchable: true,
  },
  attachAll: {
    method: 'POST',
    path: '/v1/endpoints',
    summary:
      'Attach a network namespace to several networks at once; answers when they can be used',
    query: nothing,
    body: endpointSchema.AttachAll,
    success: { status: 201, schema: endpointSchema.EndpointList },
  },
  getEndpoint: {
    method: 'GET',
    path: '/v1/endpoints/{endpoint}',
    summary: 'Read one endpoint, by id, unique prefix of an id or name',
    query: nothing,
    success: { status: 200, schema: endpointSchema.Endpoint },
  },
  detach: {
    method: 'DELETE',
    path: '/v1/endpoints/{endpoint}',
    summary: 'Detach an endpoint',
    query: z.strictObject(settle),
    success: { status: 204 },
  },
  listPublications: {
    method: 'GET',
    path: '/v1/publications',
    summary: 'List the published ports of all hosts',
    query: z.strictObject({
      ...page,
      network: z.string().max(255).optional(),
      host: z.string().max(255).optional(),
      endpoint: z.string().max(255).optional(),
    }),
    success: { status: 200, schema: endpointSchema.PublicationList },
    watchable: true,
  },
  publish: {
    method: 'POST',
    path: '/v1/publications',
    summary: 'Publish a port, or a range, of an endpoint of this host; answers when it can be used',
    query: nothing,
    body: endpointSchema.CreatePublication,
    success: { status: 201, schema: endpointSchema.Publication },
  },
  getPublication: {
    method: 'GET',
    path: '/v1/publications/{publication}',
    summary: 'Read one published port, by id or unique prefix of an id',
    query: nothing,
    success: { status: 200, schema: endpointSchema.Publication },
  },
  unpublish: {
    method: 'DELETE',
    path: '/v1/publications/{publication}',
    summary: 'Take back a published port of this host',
    query: z.strictObject(settle),
    success: { status: 204 },
  },
  listHosts: {
    method: 'GET',
    path: '/v1/hosts',
    summary: 'List hosts',
    query: z.strictObject(page),
    success: { status: 200, schema: schema.HostList },
    watchable: true,
  },
  getHost: {
    method: 'GET',
    path: '/v1/hosts/{host}',
    summary: 'Read one host, by name, id or unique prefix of an id',
    query: nothing,
    success: { status: 200, schema: schema.Host },
  },
  deleteHost: {
    method: 'DELETE',
    path: '/v1/hosts/{host}',
    summary:
      'Declare a host gone for good: its records are removed, its addresses fenced and freed',
    query: z.strictObject(settle),
    success: { status: 204 },
  },
  createToken: {
    method: 'POST',
    path: '/v1/tokens',
    summary: 'Make a token with which one host may join',
    query: nothing,
    body: schema.CreateToken,
    success: { status: 201, schema: schema.Token },
  },
  join: {
    method: 'POST',
    path: '/v1/join',
    summary: 'Join the cluster of another host',
    query: nothing,
    body: schema.Join,
    success: { status: 200, schema: schema.Joined },
  },
  getStatus: {
    method: 'GET',
    path: '/v1/status',
    summary: 'How far this host is, and what it could not do',
    query: z.strictObject(settle),
    success: { status: 200, schema: schema.Status },
  },
  getDocker: {
    method: 'GET',
    path: '/v1/docker',
    summary: 'The container engine of this host, and what of it is wired',
    query: nothing,
    success: { status: 200, schema: Docker },
  },
  listDrops: {
    method: 'GET',
    path: '/v1/drops',
    summary: 'Packets dropped on this host, by reason and endpoint',
    query: z.strictObject({ all: flag.meta({ description: 'Also reasons that are no fault' }) }),
    success: { status: 200, schema: schema.DropList },
  },
} as const satisfies Readonly<Record<string, Operation>>

export type Operations = typeof operations
export type OperationId = keyof Operations
