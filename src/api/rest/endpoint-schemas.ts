/** The wire's documents about endpoints and the ports that lead to them. */

import { z } from 'zod'
import { ATTACHMENTS } from '../../model/endpoint.ts'
import { PROTOCOLS } from '../../model/publication.ts'
import { bandwidth } from './bandwidth.ts'
import {
  apiVersion,
  condition,
  listOf,
  metadata,
  text,
  timestamp,
  wantedMetadata,
} from './schema-parts.ts'

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

/** What each attach may say around its spec. */
const attachEnvelope = {
  apiVersion: apiVersion.optional(),
  kind: z.literal('Endpoint').optional(),
  metadata: wantedMetadata.optional(),
}

/** The namespace, by one of the two. */
const attachTarget = {
  netns: z.string().min(1).max(4096).optional(),
  pid: z.int().positive().max(4_194_304).optional(),
}

export const Attach = z
  .strictObject({
    ...attachEnvelope,
    spec: z.strictObject({
      ...attachTarget,
      ...attachPart,
      publish,
    }),
  })
  .meta({ id: 'Attach', description: 'Exactly one of spec.netns and spec.pid names the namespace' })

export const AttachAll = z
  .strictObject({
    ...attachEnvelope,
    spec: z.strictObject({
      ...attachTarget,
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

export const EndpointList = listOf('EndpointList', Endpoint)
export const PublicationList = listOf('PublicationList', Publication)

export type Endpoint = z.output<typeof Endpoint>
export type Publication = z.output<typeof Publication>
