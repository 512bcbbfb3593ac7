/**
 * What an engine sends, method by method. Fields that may be missing may be null too, and both read as empty.
 * Moby's drivers/remote/api and ipams/remote/api; newer engines' additional fields are let through unread.
 */

import { z } from 'zod'
import { NetworkError } from '../../lib/errors.ts'
import { parseJson } from '../rest/json-body.ts'

/** 64 hexadecimal digits, or swarm's 25 of [0-9a-z]. */
const id = z.string().regex(/^[0-9A-Za-z][0-9A-Za-z_.-]{0,127}$/, 'an id is needed')
const text = z
  .string()
  .max(1024)
  .nullish()
  .transform((value) => value ?? '')
const flag = z
  .boolean()
  .nullish()
  .transform((value) => value ?? false)
const port = z.int().min(0).max(65_535)

/** Values that a user typed after `-o`, `--driver-opt` or `--ipam-opt`. */
const typed = z
  .record(z.string(), text)
  .nullish()
  .transform((value) => value ?? {})

const anyOptions = z
  .record(z.string(), z.unknown())
  .nullish()
  .transform((value) => value ?? {})

function listOf<Item extends z.ZodType>(item: Item) {
  return z
    .array(item)
    .max(65_536)
    .nullish()
    .transform((value) => value ?? [])
}

const portMapping = z.object({
  Proto: z.int(),
  Port: port.min(1),
  HostIP: text,
  HostPort: port.nullish().transform((value) => value ?? 0),
  HostPortEnd: port.nullish().transform((value) => value ?? 0),
})
/** Of one container: what is to be published. */
export type PortMapping = z.output<typeof portMapping>

/** The keys of an endpoint's options that the engine sets itself. */
const EXPOSED = 'com.docker.network.endpoint.exposedports'
const PORT_MAP = 'com.docker.network.portmap'
const MAC = 'com.docker.network.endpoint.macaddress'

const sandboxOptions = z
  .object({
    [PORT_MAP]: listOf(portMapping),
    [EXPOSED]: listOf(z.object({ Proto: z.int(), Port: port })),
  })
  .nullish()
  .transform((value) => ({ ports: value?.[PORT_MAP] ?? [] }))

const endpointOptions = anyOptions.transform((options, context) => {
  const { [PORT_MAP]: _ports, [EXPOSED]: _exposed, [MAC]: _mac, ...others } = options
  const chosen: Record<string, string> = {}
  for (const [key, value] of Object.entries(others)) {
    if (key.startsWith('com.docker.network.endpoint.')) continue // the engine heeds these itself
    if (key.startsWith('com.docker.network.driver.private.')) continue // for the engine's own drivers
    if (typeof value === 'string') chosen[key] = value
    else context.issues.push({ code: 'custom', message: `${key} is no text`, input: value })
  }
  return chosen
})

const pool = z.object({ AddressSpace: text, Pool: text, Gateway: text, AuxAddresses: typed })
/** A pool of a network, as the engine got it from whichever IPAM driver it asked. */
export type PoolData = z.output<typeof pool>

const networkOptions = z
  .object({
    'com.docker.network.generic': typed,
    'com.docker.network.internal': flag,
  })
  .nullish()
  .transform((value) => ({
    chosen: value?.['com.docker.network.generic'] ?? {},
    internal: value?.['com.docker.network.internal'] ?? false,
  }))

const endpoint = z.object({ NetworkID: id, EndpointID: id })

/** One schema per method that has a body. */
export const MESSAGES = {
  'NetworkDriver.GwAllocCheck': z.object({}),
  'NetworkDriver.AllocateNetwork': z.object({
    NetworkID: id,
    Options: typed,
    IPv4Data: listOf(pool),
    IPv6Data: listOf(pool),
  }),
  'NetworkDriver.FreeNetwork': z.object({ NetworkID: id }),
  'NetworkDriver.CreateNetwork': z.object({
    NetworkID: id,
    Options: networkOptions,
    IPv4Data: listOf(pool),
    IPv6Data: listOf(pool),
  }),
  'NetworkDriver.DeleteNetwork': z.object({ NetworkID: id }),
  'NetworkDriver.CreateEndpoint': endpoint.extend({
    Interface: z
      .object({ Address: text, AddressIPv6: text, MacAddress: text })
      .nullish()
      .transform((value) => value ?? { Address: '', AddressIPv6: '', MacAddress: '' }),
    Options: endpointOptions,
  }),
  'NetworkDriver.EndpointOperInfo': endpoint,
  'NetworkDriver.Join': endpoint.extend({ SandboxKey: text }),
  'NetworkDriver.ProgramExternalConnectivity': endpoint.extend({ Options: sandboxOptions }),
  'NetworkDriver.RevokeExternalConnectivity': endpoint,
  'NetworkDriver.Leave': endpoint,
  'NetworkDriver.DeleteEndpoint': endpoint,
  'NetworkDriver.DiscoverNew': z.object({ DiscoveryType: z.int().nullish() }),
  'NetworkDriver.DiscoverDelete': z.object({ DiscoveryType: z.int().nullish() }),
  'IpamDriver.RequestPool': z.object({
    AddressSpace: text,
    Pool: text,
    SubPool: text,
    Options: typed,
    V6: flag,
  }),
  'IpamDriver.ReleasePool': z.object({ PoolID: z.string().min(1).max(512) }),
  'IpamDriver.RequestAddress': z.object({
    PoolID: z.string().min(1).max(512),
    Address: text,
    Options: typed,
  }),
  'IpamDriver.ReleaseAddress': z.object({ PoolID: z.string().min(1).max(512), Address: text }),
} as const satisfies Readonly<Record<string, z.ZodType>>

export type MessageName = keyof typeof MESSAGES
export type Message<Name extends MessageName> = z.output<(typeof MESSAGES)[Name]>

/**
 * Reads a method's body; throws `invalid` naming every field that is wrong. An empty body is what the engine
 * sends when the connection broke after it had sent the right one.
 */
export function readMessage<Name extends MessageName>(name: Name, body: Uint8Array): Message<Name> {
  if (body.byteLength === 0) {
    throw new NetworkError(
      'invalid',
      `Cannot do ${name}: the request is empty, which is what an engine sends after a broken connection; try again`,
    )
  }
  const schema: z.ZodType = MESSAGES[name]
  const result = schema.safeParse(parseJson(decode(body)))
  if (result.success) return result.data as Message<Name> // of this very schema
  const fields = result.error.issues.map(({ path, message }) => ({
    pointer: path.map((step) => `/${String(step)}`).join(''),
    message,
  }))
  const told = fields.slice(0, 5).map(({ pointer, message }) => `${pointer || 'body'}: ${message}`)
  throw new NetworkError('invalid', `Cannot do ${name}: ${told.join(', ')}`, { fields })
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new NetworkError('invalid', 'Cannot read the body: it is not UTF-8', { cause })
  }
}
