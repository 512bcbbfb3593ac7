/**
 * `podman network create -d carrick NAME`: the network of ours with that name, or a new one. Podman keeps the answer
 * and hands it back with each container. Addresses are never Podman's to give: each host has a Podman of its own.
 */

import type { Control } from '../../control/control.ts'
import type { Clock } from '../../lib/clock.ts'
import { isNetworkError, NetworkError } from '../../lib/errors.ts'
import { isName, labelProblem } from '../../model/names.ts'
import type { Network } from '../../model/network.ts'
import { type Prefix, prefixFamily } from '../../net/prefix.ts'
import type { JsonObject } from '../cni/fields.ts'
import type { NetworkOptions } from '../docker/options.ts'
import { refuseUnfit } from '../docker/unfit.ts'
import { type PodmanNetwork, readNetwork } from './messages.ts'
import { OWN_NAME, readOptions } from './options.ts'

export interface CreateDeps {
  readonly control: Pick<
    Control,
    'createNetwork' | 'listNetworks' | 'getNetwork' | 'suggestPrefixes'
  >
  readonly clock: Clock
}

/** In Podman's records: it gives addresses itself for `host-local`, and switches names off for `none`. */
const IPAM_DRIVER = 'carrick'
/** How long a network that another host is just making may take to be seen here. */
const SEEN_MS = 2_000
const RETRY_MS = 20
/** Such a pause is too short to be broken off. */
const NEVER = new AbortController().signal

/** The network as Podman shall keep it. Throws `invalid`, `conflict` and what the making of a network throws. */
export async function createNetwork(deps: CreateDeps, object: JsonObject): Promise<JsonObject> {
  const wanted = readNetwork(object)
  const options = readOptions(wanted.options)
  refuseUnknown(wanted)
  const network = await findOrMake(deps, wanted, options)
  refuseUnlike(network, wanted, options)
  return {
    ...object,
    subnets: network.prefixes.map((subnet, i) => ({
      subnet,
      ...(network.internal ? {} : { gateway: network.gateways[i] }),
    })),
    ipv6_enabled: network.prefixes.some((prefix) => prefixFamily(prefix) === 6),
    internal: network.internal,
    options: {
      ...wanted.options,
      ...(network.name === wanted.name ? {} : { [OWN_NAME]: network.name }),
    },
    ipam_options: { ...wanted.ipam, driver: IPAM_DRIVER },
  }
}

/** What Podman can say and nobody here could keep. */
function refuseUnknown({ name, subnets, routes, link, dnsServers, ipam }: PodmanNetwork): void {
  const { driver = '' } = ipam
  const problems = [
    ...(['', 'host-local', IPAM_DRIVER].includes(driver)
      ? []
      : [`--ipam-driver ${driver}: addresses are given by Carrick`]),
    ...(link === '' ? [] : [`--interface-name ${link}: there is no bridge to name`]),
    ...(dnsServers.length === 0
      ? []
      : [
          '--dns: all other names are asked of the resolvers of the host (setting resolverServers)',
        ]),
    ...subnets
      .filter(({ isRange }) => isRange)
      .map(({ prefix }) => `--ip-range in ${prefix}: each host takes blocks of the whole subnet`),
    ...routes
      .filter(({ via }) => via !== undefined && !subnets.some(({ gateway }) => gateway === via))
      .map(({ to, via }) => `--route ${to},${via}: give the network's gateway by --gateway ${via}`),
  ]
  if (problems.length === 0) return
  throw new NetworkError('unsupported', `Cannot create network ${name} with ${problems.join('; ')}`)
}

async function findOrMake(
  deps: CreateDeps,
  wanted: PodmanNetwork,
  options: NetworkOptions,
): Promise<Network> {
  const { control } = deps
  if (options.network !== undefined) return control.getNetwork(options.network)
  const name = options.name ?? wanted.name
  if (!isName(name)) {
    throw new NetworkError(
      'invalid',
      `Cannot create network ${name}: names of ours have lower-case letters, digits and inner dashes, at most 63`,
      { hint: `podman network create -d carrick -o carrick.name=NAME ${wanted.name}` },
    )
  }
  const find = () => control.listNetworks().find((network) => network.name === name)
  const known = find()
  if (known !== undefined) return known
  try {
    return await make(deps, name, wanted, options)
  } catch (error) {
    if (!isNetworkError(error, 'already-exists')) throw error
    // Another host made it at this moment.
    const seen = await soon(deps.clock, find)
    if (seen === undefined) throw error
    return seen
  }
}

function make(
  { control }: CreateDeps,
  name: string,
  { subnets, internal, ipv6, object }: PodmanNetwork,
  { carrier, mtuBytes, masquerade, open, force }: NetworkOptions,
): Promise<Network> {
  const given = subnets.map(({ prefix }) => prefix)
  const needs6 = ipv6 && !given.some((prefix) => prefixFamily(prefix) === 6)
  const chosen: readonly Prefix[] = needs6
    ? [
        ...(given.length === 0 ? control.suggestPrefixes({ family: 4 }) : given),
        ...control.suggestPrefixes({ family: 6 }),
      ]
    : given
  return control.createNetwork({
    name,
    ...(chosen.length === 0 ? {} : { subnets: chosen }),
    gateways: subnets.flatMap(({ gateway }) => gateway ?? []),
    ...(carrier === undefined ? {} : { carrier }),
    ...(mtuBytes === undefined ? {} : { mtuBytes }),
    ...(masquerade === undefined ? {} : { masquerade }),
    ...(open === undefined ? {} : { open }),
    internal,
    force,
    labels: labelsIn(object['labels']),
  })
}

/** Podman's labels, as far as they can be ours. */
function labelsIn(value: unknown): Readonly<Record<string, string>> {
  const labels: Record<string, string> = {}
  for (const [key, text] of Object.entries(value ?? {})) {
    if (typeof text === 'string' && labelProblem(key, text) === undefined) labels[key] = text
  }
  return labels
}

/** Throws `conflict` when the network is not what Podman's is wanted to be. */
function refuseUnlike(network: Network, wanted: PodmanNetwork, options: NetworkOptions): void {
  const problems: string[] = []
  if (wanted.ipv6 && !network.prefixes.some((prefix) => prefixFamily(prefix) === 6)) {
    problems.push('it has no IPv6 subnet')
  }
  refuseUnfit(network, problems, {
    internal: wanted.internal,
    pools: wanted.subnets,
    options,
  })
}

async function soon<T>(clock: Clock, find: () => T | undefined): Promise<T | undefined> {
  const deadline = clock.monotonicMs() + SEEN_MS
  for (;;) {
    const found = find()
    if (found !== undefined || clock.monotonicMs() >= deadline) return found
    await clock.sleep(RETRY_MS, NEVER)
  }
}
