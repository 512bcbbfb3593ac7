/**
 * What an engine answers, as far as it is read here. Versions differ and fields are `null` where nothing is:
 * whatever is missing or of another kind counts as absent, and unknown fields are passed by.
 */

import { z } from 'zod'
import { NetworkError } from '../../lib/errors.ts'

const text = z.string().catch('')
const flag = z.boolean().catch(false)
const texts = z.array(z.string()).catch([])
/** Strings by name; anything else in it is left out. */
const table = z
  .record(z.string(), z.unknown())
  .catch({})
  .transform((given) => {
    const entries = Object.entries(given).filter((entry): entry is [string, string] => {
      return typeof entry[1] === 'string'
    })
    return Object.fromEntries(entries) as Readonly<Record<string, string>>
  })

const pool = z.object({
  Subnet: text,
  IPRange: text,
  Gateway: text,
  AuxiliaryAddresses: table,
})

const listedNetwork = z
  .object({
    Name: z.string(),
    Id: z.string().min(1),
    Created: text,
    Scope: text,
    Driver: text,
    Internal: flag,
    Options: table,
    Labels: table,
    IPAM: z
      .object({ Driver: text, Config: z.array(pool).catch([]) })
      .catch({ Driver: '', Config: [] }),
  })
  .transform((given) => ({
    id: given.Id,
    name: given.Name,
    createdAt: given.Created,
    scope: given.Scope,
    driver: given.Driver,
    ipamDriver: given.IPAM.Driver,
    internal: given.Internal,
    options: given.Options,
    labels: given.Labels,
    pools: given.IPAM.Config.map(({ Subnet, IPRange, Gateway, AuxiliaryAddresses }) => ({
      subnet: Subnet,
      range: IPRange,
      gateway: Gateway,
      aux: AuxiliaryAddresses,
    })),
  }))

/** A network as the engine has it. */
export type ListedNetwork = z.output<typeof listedNetwork>

/** An endpoint in a network. During its start a container goes by `ep-<endpoint id>`. */
export interface SeenEndpoint {
  readonly containerKey: string
  /** The container's name. */
  readonly name: string
  readonly endpointId: string
  /** Without their prefix lengths. */
  readonly addresses: readonly string[]
}

export interface InspectedNetwork extends ListedNetwork {
  readonly endpoints: readonly SeenEndpoint[]
}

const members = z.object({
  Containers: z
    .record(
      z.string(),
      z.object({ Name: text, EndpointID: text, IPv4Address: text, IPv6Address: text }),
    )
    .catch({}),
})

const place = z.object({
  EndpointID: text,
  Aliases: texts,
  DNSNames: texts,
  IPAMConfig: z.object({ LinkLocalIPs: texts }).catch({ LinkLocalIPs: [] }),
})
const places = z.object({ Networks: z.record(z.string(), place).catch({}) }).catch({ Networks: {} })

const containerSummary = z
  .object({
    Id: z.string().min(1),
    Names: texts,
    Image: text,
    State: text,
    Labels: table,
    NetworkSettings: places,
  })
  .transform((given) => ({
    id: given.Id,
    // Others are of links, with two slashes.
    name: (given.Names.find((name) => name.lastIndexOf('/') === 0) ?? '').slice(1),
    image: given.Image,
    running: given.State === 'running' || given.State === 'paused',
    labels: given.Labels,
    endpointIds: Object.values(given.NetworkSettings.Networks)
      .map(({ EndpointID }) => EndpointID)
      .filter((id) => id !== ''),
  }))

export type ContainerSummary = z.output<typeof containerSummary>

/** What a user gave to a container in one network. */
export interface GivenToEndpoint {
  /** Further names. */
  readonly names: readonly string[]
  /** Addresses of its link, which the driver is not told. */
  readonly linkLocals: readonly string[]
}

const containerDetails = z
  .object({ Id: z.string().min(1), NetworkSettings: places })
  .transform((given) => ({
    id: given.Id,
    /** What users gave to its endpoints, by endpoint id. */
    given: new Map(
      Object.values(given.NetworkSettings.Networks)
        .filter(({ EndpointID }) => EndpointID !== '')
        .map(({ EndpointID, Aliases, DNSNames, IPAMConfig }) => [
          EndpointID,
          { names: [...Aliases, ...DNSNames], linkLocals: IPAMConfig.LinkLocalIPs },
        ]),
    ) as ReadonlyMap<string, GivenToEndpoint>,
  }))

export type ContainerDetails = z.output<typeof containerDetails>

const event = z
  .object({
    Type: z.string(),
    Action: z.string(),
    Actor: z.object({ ID: text, Attributes: table }),
  })
  .transform((given) => ({
    type: given.Type,
    action: given.Action,
    id: given.Actor.ID,
    attributes: given.Actor.Attributes,
  }))

/** Something happened to the network or the container with the id. */
export type EngineEvent = z.output<typeof event>

const version = z
  .object({ Version: text, ApiVersion: z.string().regex(/^\d+\.\d+$/), MinAPIVersion: text })
  .transform((given) => ({
    engine: given.Version,
    newest: given.ApiVersion,
    oldest: given.MinAPIVersion === '' ? '1.24' : given.MinAPIVersion,
  }))

export function readVersion(answer: unknown): z.output<typeof version> {
  return read(version, answer, 'version')
}

export function readNetworks(answer: unknown): readonly ListedNetwork[] {
  return read(z.array(listedNetwork), answer, 'networks')
}

export function readInspectedNetwork(answer: unknown): InspectedNetwork {
  const { Containers } = read(members, answer, 'network')
  const endpoints = Object.entries(Containers).map(
    ([containerKey, { Name, EndpointID, IPv4Address, IPv6Address }]) => ({
      ...{ containerKey, name: Name, endpointId: EndpointID },
      addresses: [IPv4Address, IPv6Address]
        .map((address) => address.split('/')[0] ?? '')
        .filter((address) => address !== ''),
    }),
  )
  return { ...read(listedNetwork, answer, 'network'), endpoints }
}

export function readContainers(answer: unknown): readonly ContainerSummary[] {
  return read(z.array(containerSummary), answer, 'containers')
}

export function readContainerDetails(answer: unknown): ContainerDetails {
  return read(containerDetails, answer, 'container')
}

/** Undefined for a line that tells of nothing known. */
export function readEvent(line: string): EngineEvent | undefined {
  try {
    const { success, data } = event.safeParse(JSON.parse(line))
    return success ? data : undefined
  } catch {
    return undefined
  }
}

function read<T extends z.ZodType>(schema: T, answer: unknown, what: string): z.output<T> {
  const { success, data, error } = schema.safeParse(answer)
  if (success) return data
  throw new NetworkError('unavailable', `Cannot read the engine’s ${what}: ${error.message}`)
}
