/**
 * What travels over the REST wire: one zod schema per document, from which checking, TypeScript types and
 * the OpenAPI document all come. Shapes only: whether a subnet is right or an address is free is decided
 * by `control`, which can say what would be right. Conventions §6.
 */

import { z } from 'zod'
import { ERROR_CODES } from '../../lib/errors.ts'
import { ATTACHMENTS } from '../../model/endpoint.ts'
import { CARRIERS, OPENINGS } from '../../model/network.ts'
import { PATH_CARRIERS, PATH_PROBLEMS } from '../../model/path.ts'
import { PROTOCOLS } from '../../model/publication.ts'
import { forced } from './address-schemas.ts'
import { bandwidth } from './bandwidth.ts'
import { dockerSide, dockerWish } from './docker-schemas.ts'

const text = z.string().max(255)
const timestamp = z
  .string()
  .meta({ format: 'date-time', description: 'RFC 3339, UTC, milliseconds' })
const labels = z.record(z.string().max(320), text)
const apiVersion = z.literal('v1')

const metadata = z.strictObject({
  id: z.string().meta({ description: 'Opaque, sortable, never used again' }),
  name: z.string().optional(),
  labels,
  createdAt: timestamp.optional(),
  revision: z
    .int()
    .optional()
    .meta({ description: "Number in the host's journal at which the object was settled" }),
})

const condition = z.strictObject({
  type: z.string(),
  status: z.enum(['True', 'False', 'Unknown']),
  reason: z.string(),
  message: z.string(),
  since: timestamp.optional(),
})

/** The part of `metadata` that a creator chooses. */
const wantedMetadata = z.strictObject({ name: text.optional(), labels: labels.optional() })

export const CreateNetwork = z
  .strictObject({
    apiVersion: apiVersion.optional(),
    kind: z.literal('Network').optional(),
    metadata: z.strictObject({ name: text, labels: labels.optional() }),
    spec: z.strictObject({
      subnets: z
        .array(text)
        .max(16)
        .optional()
        .meta({ description: 'Default: a free /16 of private space' }),
      gateways: z.array(text).max(16).optional(),
      carrier: z.enum(CARRIERS).optional(),
      mtuBytes: z.int().positive().max(65_535).optional(),
      internal: z.boolean().optional().meta({ description: 'No gateway: nothing out, nothing in' }),
      masquerade: z.boolean().optional().meta({ description: 'Default true' }),
      open: z.array(z.enum(OPENINGS)).max(OPENINGS.length).optional(),
      docker: dockerWish
        .optional()
        .meta({ description: 'Present: it appears on the Docker engines of all members' }),
    }),
  })
  .meta({ id: 'CreateNetwork' })

/** A merge patch (RFC 7396): what is absent stays, null is the default again. */
export const PatchNetwork = z
  .strictObject({
    apiVersion: apiVersion.optional(),
    kind: z.literal('Network').optional(),
    metadata: z
      .strictObject({
        labels: z.record(z.string().max(320), text.nullable()).nullable().optional(),
      })
      .optional(),
    spec: z
      .strictObject({
        subnets: z
          .array(text)
          .max(16)
          .optional()
          .meta({ description: 'All of them: what is not named is removed' }),
        gateways: z.array(text).max(16).optional().meta({ description: 'Of new subnets' }),
        carrier: z.enum(CARRIERS).nullable().optional(),
        mtuBytes: z.int().positive().max(65_535).nullable().optional(),
        internal: z.boolean().nullable().optional(),
        masquerade: z.boolean().nullable().optional(),
        open: z.array(z.enum(OPENINGS)).max(OPENINGS.length).nullable().optional(),
      })
      .optional(),
  })
  .meta({ id: 'PatchNetwork' })

export const Network = z
  .strictObject({
    apiVersion,
    kind: z.literal('Network'),
    metadata: metadata.extend({ name: z.string(), createdAt: timestamp }),
    spec: z.strictObject({
      subnets: z.array(z.string()).readonly(),
      gateways: z.array(z.string()).readonly(),
      carrier: z.enum(CARRIERS),
      mtuBytes: z.int().optional(),
      internal: z.boolean(),
      masquerade: z.boolean(),
      open: z.array(z.enum(OPENINGS)).readonly(),
      docker: dockerSide.optional(),
    }),
    status: z.strictObject({
      vni: z.int(),
      forced: forced.optional().meta({ description: 'Who wanted it in spite of what it overlaps' }),
      alsoAccepts: z
        .enum(CARRIERS)
        .optional()
        .meta({ description: 'While the carrier changes: the one accepted besides' }),
      notes: z
        .array(z.string())
        .readonly()
        .optional()
        .meta({ description: 'After a change: what a user should know of it' }),
    }),
  })
  .meta({ id: 'Network' })

const portWish = z.union([
  z.string().min(1).max(255).meta({ description: '[ADDRESS:][HOSTPORT:]PORT[/PROTOCOL]' }),
  z.strictObject({
    protocol: text.optional().meta({ description: 'tcp, udp or sctp; default tcp' }),
    hostAddress: text.optional().meta({ description: 'Default: every address of the host' }),
    hostPort: z
      .int()
      .optional()
      .meta({ description: 'First of the ports; 0, the default, chooses free ones' }),
    containerPort: z.int(),
    count: z.int().optional().meta({ description: 'How many ports in a row; default 1' }),
  }),
])

/** Ports to publish with an attach. */
const publish = z
  .array(portWish)
  .max(1024)
  .optional()
  .meta({ description: 'Ports of the host that lead to the network of the default route' })

/** What an attach may say of each network. */
const attachPart = {
  addresses: z.array(text).max(2).optional(),
  mac: text.optional(),
  ifname: text.optional(),
  defaultRoute: z
    .boolean()
    .optional()
    .meta({ description: "Its gateway becomes the namespace's default route" }),
  bandwidth: bandwidth.optional(),
}

export const Attach = z
  .strictObject({
    apiVersion: apiVersion.optional(),
    kind: z.literal('Endpoint').optional(),
    metadata: wantedMetadata.optional(),
    spec: z.strictObject({
      netns: z.string().min(1).max(4096).optional(),
      pid: z.int().positive().max(4_194_304).optional(),
      ...attachPart,
      publish,
    }),
  })
  .meta({ id: 'Attach', description: 'Exactly one of spec.netns and spec.pid names the namespace' })

export const AttachAll = z
  .strictObject({
    apiVersion: apiVersion.optional(),
    kind: z.literal('Endpoint').optional(),
    metadata: wantedMetadata.optional(),
    spec: z.strictObject({
      netns: z.string().min(1).max(4096).optional(),
      pid: z.int().positive().max(4_194_304).optional(),
      networks: z
        .array(z.strictObject({ network: text, ...attachPart }))
        .min(1)
        .max(64)
        .meta({
          description: 'In the order of their interfaces: the first gives the default route',
        }),
      addresses: z
        .array(text)
        .max(128)
        .optional()
        .meta({ description: 'Each for the network whose subnet has it' }),
      publish,
    }),
  })
  .meta({ id: 'AttachAll', description: 'All of the networks, or none' })

const protocol = z.enum(PROTOCOLS)

const endpointRoute = z.strictObject({
  to: z.string(),
  metric: z.int().optional(),
  table: z.int().optional(),
  mtuBytes: z.int().optional(),
  advmssBytes: z.int().optional(),
})

export const Endpoint = z
  .strictObject({
    apiVersion,
    kind: z.literal('Endpoint'),
    metadata: metadata.extend({ createdAt: timestamp }),
    spec: z.strictObject({
      network: z.string(),
      addresses: z.array(z.string()).readonly(),
      mac: z.string(),
      ifname: z.string(),
      attachment: z.enum(['veth', ...ATTACHMENTS]).meta({
        description: '`engine`: by a container engine; `held`: only its addresses are taken',
      }),
      bandwidth: bandwidth.optional().meta({ description: 'Absent: as fast as it goes' }),
      mtuBytes: z.int().optional().meta({ description: "Absent: the network's" }),
      defaultRoute: z
        .literal(false)
        .optional()
        .meta({ description: 'Present: the gateway never gives the default route' }),
      routes: z
        .array(endpointRoute)
        .readonly()
        .optional()
        .meta({ description: "By the gateway, besides the network's own" }),
      netns: z.string().optional().meta({ description: 'Only for endpoints of this host' }),
    }),
    status: z.strictObject({
      networkId: z.string(),
      hostId: z.string(),
      host: z.string().optional(),
      local: z.boolean(),
      device: z.string().optional(),
      ports: z
        .array(
          z.strictObject({
            id: z.string(),
            protocol,
            hostAddress: z.string().optional(),
            hostPort: z.int(),
            containerPort: z.int(),
            count: z.int(),
          }),
        )
        .readonly()
        .meta({ description: 'Published ports of its host that lead to it' }),
      conditions: z.array(condition).readonly(),
    }),
  })
  .meta({ id: 'Endpoint' })

export const CreatePublication = z
  .strictObject({
    apiVersion: apiVersion.optional(),
    kind: z.literal('Publication').optional(),
    spec: z.strictObject({
      endpoint: text.meta({ description: 'Of this host: id, unique prefix of an id, or name' }),
      network: text.optional().meta({ description: 'In which the name is looked up' }),
      port: portWish,
    }),
  })
  .meta({ id: 'CreatePublication' })

export const Publication = z
  .strictObject({
    apiVersion,
    kind: z.literal('Publication'),
    metadata: metadata.extend({ createdAt: timestamp }),
    spec: z.strictObject({
      endpoint: z.string().meta({ description: 'Its name, or its id when it has none' }),
      network: z.string(),
      protocol,
      hostAddress: z.string().optional().meta({ description: 'Absent: every one of the host' }),
      hostPort: z.int(),
      containerPort: z.int(),
      count: z.int(),
    }),
    status: z.strictObject({
      endpointId: z.string(),
      networkId: z.string(),
      hostId: z.string(),
      host: z.string().optional(),
      local: z.boolean(),
      addresses: z.array(z.string()).readonly().meta({ description: 'Where it leads' }),
      reach: z.string().meta({ description: 'Who can reach it, for people' }),
      conditions: z.array(condition).readonly(),
    }),
  })
  .meta({ id: 'Publication' })

const objectFailure = z.strictObject({
  object: z.string(),
  code: z.string(),
  message: z.string(),
  since: timestamp,
  attempts: z.int(),
})

const path = z
  .strictObject({
    hostId: z.string(),
    host: z.string().meta({ description: 'Name of the host at the other end' }),
    carrier: z.enum(PATH_CARRIERS),
    mtuBytes: z.int().meta({ description: 'Largest packet that passes, outer headers included' }),
    expectedBytes: z.int().meta({ description: 'What the devices at both ends take' }),
    problems: z.array(z.enum(PATH_PROBLEMS)).readonly(),
    probedAt: timestamp,
  })
  .meta({ description: 'What probes found about the way from this host to another' })

export const Host = z
  .strictObject({
    apiVersion,
    kind: z.literal('Host'),
    metadata: metadata.extend({ name: z.string() }),
    spec: z.strictObject({
      underlay: z
        .array(
          z.strictObject({
            address: z.string(),
            prefix: z.string(),
            mac: z.string(),
            mtuBytes: z.int(),
          }),
        )
        .readonly(),
      vxlanPort: z.int(),
      carriers: z.array(z.string()).readonly(),
    }),
    status: z.strictObject({
      self: z.boolean(),
      alive: z.boolean(),
      index: z.int(),
      epoch: z.int(),
      version: z.string(),
      endpoints: z.int(),
      publishedSequence: z.int(),
      observedRevision: z.int().optional(),
      failures: z.array(objectFailure).readonly(),
      paths: z.array(path).readonly(),
    }),
  })
  .meta({ id: 'Host' })

export const CreateToken = z
  .strictObject({
    apiVersion: apiVersion.optional(),
    kind: z.literal('Token').optional(),
    spec: z.strictObject({ ttlSeconds: z.int().positive().max(31_536_000) }),
  })
  .meta({ id: 'CreateToken' })

export const Token = z
  .strictObject({
    apiVersion,
    kind: z.literal('Token'),
    metadata: z.strictObject({ id: z.string() }),
    spec: z.strictObject({ ttlSeconds: z.int() }),
    status: z.strictObject({
      text: z.string().meta({ description: 'The whole text for `carrick join`; shown once' }),
      expiresAt: timestamp,
    }),
  })
  .meta({ id: 'Token' })

export const Join = z
  .strictObject({
    apiVersion: apiVersion.optional(),
    kind: z.literal('Join').optional(),
    spec: z.strictObject({
      address: text.meta({ description: 'HOST:PORT of a member that serves the store' }),
      token: z.string().min(1).max(4096),
    }),
  })
  .meta({ id: 'Join' })

export const Joined = z
  .strictObject({
    apiVersion,
    kind: z.literal('Joined'),
    status: z.strictObject({ hostId: z.string(), hostName: z.string(), store: z.string() }),
  })
  .meta({ id: 'Joined' })

export const Status = z
  .strictObject({
    apiVersion,
    kind: z.literal('Status'),
    metadata: z.strictObject({ id: z.string(), name: z.string() }),
    status: z.strictObject({
      version: z.string(),
      store: z.strictObject({
        kind: z.enum(['embedded', 'joined', 'etcd']),
        address: z.string(),
        connected: z.boolean(),
        revision: z.int(),
      }),
      journalSequence: z.int(),
      publishedSequence: z.int(),
      settled: z.boolean(),
      networks: z.int(),
      endpoints: z.strictObject({ local: z.int(), remote: z.int() }),
      driftRepaired: z.record(z.string(), z.int()).readonly(),
      failures: z.array(objectFailure).readonly(),
      warnings: z.array(z.string()).readonly(),
    }),
  })
  .meta({ id: 'Status' })

export const Drop = z.strictObject({
  reason: z.string(),
  endpointId: z.string().optional(),
  endpointName: z.string().optional(),
  network: z.string().optional(),
  packets: z.int(),
  bytes: z.int(),
})

export const NetworkList = listOf('NetworkList', Network)
export const EndpointList = listOf('EndpointList', Endpoint)
export const PublicationList = listOf('PublicationList', Publication)
export const HostList = listOf('HostList', Host)
export const DropList = listOf('DropList', Drop)

export const Health = z
  .strictObject({
    status: z.enum(['ok', 'failing']),
    checks: z
      .array(z.strictObject({ name: z.string(), ok: z.boolean(), message: z.string().optional() }))
      .readonly(),
  })
  .meta({ id: 'Health' })

/** RFC 9457, with what conventions §5 adds. */
export const Problem = z
  .strictObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string(),
    code: z.enum([...ERROR_CODES, 'too-many-requests', 'internal']),
    hint: z.string().optional(),
    fields: z
      .array(z.strictObject({ pointer: z.string(), message: z.string() }))
      .readonly()
      .optional(),
    requestId: z.string(),
  })
  .meta({ id: 'Problem' })

export type Network = z.output<typeof Network>
export type Endpoint = z.output<typeof Endpoint>
export type Publication = z.output<typeof Publication>
export type Host = z.output<typeof Host>
export type Path = z.output<typeof path>
export type Token = z.output<typeof Token>
export type Joined = z.output<typeof Joined>
export type Status = z.output<typeof Status>
export type Drop = z.output<typeof Drop>
export type Health = z.output<typeof Health>
export type Problem = z.output<typeof Problem>
export type Condition = z.output<typeof condition>

/** A page of a list; `metadata.continue` is there when another page follows. */
export interface ListOf<T> {
  readonly apiVersion: 'v1'
  readonly kind: string
  readonly metadata: { readonly continue?: string | undefined }
  readonly items: readonly T[]
}

function listOf<Kind extends string, Item extends z.ZodType>(kind: Kind, item: Item) {
  return z
    .strictObject({
      apiVersion,
      kind: z.literal(kind),
      metadata: z.strictObject({ continue: z.string().optional() }),
      items: z.array(item).readonly(),
    })
    .meta({ id: kind })
}
