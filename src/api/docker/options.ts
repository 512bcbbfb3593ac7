/**
 * The options users give with `-o`, `--driver-opt` and `--ipam-opt`. Each is known or refused: an option that
 * does nothing would be found out too late.
 */

import { NetworkError } from '../../lib/errors.ts'
import { nearest } from '../../lib/nearest.ts'
import { isName, labelProblem } from '../../model/names.ts'
import { CARRIERS, type Carrier, OPENINGS, type Opening } from '../../model/network.ts'

/** `docker network create -o KEY=VALUE`. */
export const NETWORK_OPTIONS = {
  'carrick.network':
    'Name or id of the network to use; without it, the one with the same subnets, or a new one',
  'carrick.name':
    'Name of the new network among ours (default: docker- and the beginning of its id)',
  'carrick.carrier': `How packets reach other hosts: ${CARRIERS.join(', ')} (default auto)`,
  'carrick.mtu': 'MTU inside the containers',
  'carrick.masquerade': 'false: the world outside sees and routes to the addresses of containers',
  'carrick.open': `What is opened to containers, separated by commas: ${OPENINGS.join(', ')}`,
  'carrick.force': 'true: make it though its subnets overlap a route, an underlay or a network',
  'com.docker.network.driver.mtu': 'Same as carrick.mtu',
  'com.docker.network.bridge.enable_ip_masquerade': 'Same as carrick.masquerade',
  'com.docker.network.container_iface_prefix': 'Beginning of the interface’s name (default eth)',
} as const

/** `docker network connect --driver-opt KEY=VALUE`, and `driver_opts` of a service’s network. */
export const ENDPOINT_OPTIONS = {
  'carrick.name': 'Name of the endpoint among ours',
  'carrick.label.KEY': 'Label KEY of the endpoint',
} as const

/** `docker network create --ipam-opt KEY=VALUE`. */
export const POOL_OPTIONS = {
  'carrick.network':
    'Name or id of the network whose subnets are to be used, when no subnet is given',
  'carrick.size': 'Length of chosen subnets (default 20, and 64 for IPv6)',
} as const

const LABEL_PREFIX = 'carrick.label.'
/** A default of the engine's bridge driver that Compose files carry along. */
const IFACE_PREFIX = /^[a-zA-Z][a-zA-Z0-9_-]{0,9}$/

export interface NetworkOptions {
  readonly network: string | undefined
  readonly name: string | undefined
  readonly carrier: Carrier | undefined
  readonly mtuBytes: number | undefined
  readonly masquerade: boolean | undefined
  readonly open: readonly Opening[] | undefined
  readonly force: boolean
}

/** What a network is to be like; throws `invalid` with everything that is wrong. */
export function readNetworkOptions(chosen: Readonly<Record<string, string>>): NetworkOptions {
  const reader = new Reader('-o', chosen, Object.keys(NETWORK_OPTIONS))
  const options = {
    network: reader.text('carrick.network'),
    name: reader.text('carrick.name', (text) =>
      isName(text)
        ? undefined
        : 'a name has lower-case letters, digits and inner dashes, at most 63',
    ),
    carrier: CARRIERS.find(
      (known) => known === reader.text('carrick.carrier', (text) => oneOf(text, CARRIERS)),
    ),
    mtuBytes:
      reader.number('carrick.mtu', 68, 65_535) ??
      reader.number('com.docker.network.driver.mtu', 68, 65_535),
    masquerade:
      reader.flag('carrick.masquerade') ??
      reader.flag('com.docker.network.bridge.enable_ip_masquerade'),
    open: reader
      .text('carrick.open', (text) =>
        splitList(text)
          .map((one) => oneOf(one, OPENINGS))
          .find(Boolean),
      )
      ?.split(',')
      .flatMap((text) => OPENINGS.find((known) => known === text.trim()) ?? []),
    force: reader.flag('carrick.force') ?? false,
  }
  reader.text('com.docker.network.container_iface_prefix', (text) =>
    IFACE_PREFIX.test(text) ? undefined : 'a letter, then letters, digits, _ or -, at most 10',
  )
  reader.end()
  return options
}

/** Beginning of the names of interfaces in a network made with these options. */
export function interfacePrefix(chosen: Readonly<Record<string, string>>): string {
  return chosen['com.docker.network.container_iface_prefix'] ?? 'eth'
}

export interface EndpointOptions {
  readonly name: string | undefined
  readonly labels: Readonly<Record<string, string>>
}

/** What an endpoint is to be called; throws `invalid` with everything that is wrong. */
export function readEndpointOptions(chosen: Readonly<Record<string, string>>): EndpointOptions {
  const labels: Record<string, string> = {}
  const others: Record<string, string> = {}
  const problems: string[] = []
  for (const [key, value] of Object.entries(chosen)) {
    if (!key.startsWith(LABEL_PREFIX)) {
      others[key] = value
      continue
    }
    const label = key.slice(LABEL_PREFIX.length)
    const problem = labelProblem(label, value)
    if (problem === undefined) labels[label] = value
    else problems.push(problem)
  }
  const reader = new Reader('--driver-opt', others, Object.keys(ENDPOINT_OPTIONS), problems)
  const name = reader.text('carrick.name', (text) =>
    isName(text) ? undefined : 'a name has lower-case letters, digits and inner dashes, at most 63',
  )
  reader.end()
  return { name, labels }
}

export interface PoolOptions {
  readonly network: string | undefined
  readonly length: number | undefined
}

/** What a pool is to be like; throws `invalid` with everything that is wrong. */
export function readPoolOptions(chosen: Readonly<Record<string, string>>): PoolOptions {
  const reader = new Reader('--ipam-opt', chosen, Object.keys(POOL_OPTIONS))
  const options = {
    network: reader.text('carrick.network'),
    length: reader.number('carrick.size', 8, 126),
  }
  reader.end()
  return options
}

/** Reads options one by one and collects what is wrong with them. */
class Reader {
  readonly #flag: string
  readonly #chosen: Readonly<Record<string, string>>
  readonly #problems: string[]

  constructor(
    flag: string,
    chosen: Readonly<Record<string, string>>,
    known: readonly string[],
    problems: readonly string[] = [],
  ) {
    this.#flag = flag
    this.#chosen = chosen
    this.#problems = [...problems]
    for (const key of Object.keys(chosen)) {
      if (known.includes(key)) continue
      const meant = known.find((one) => one.endsWith(`.${key}`)) ?? nearest(key, known)
      const help = meant === undefined ? `known are ${known.join(', ')}` : `did you mean ${meant}?`
      this.#problems.push(`${flag} ${key} is not known: ${help}`)
    }
  }

  /** Undefined when it was not given. */
  text(key: string, problemOf?: (text: string) => string | undefined): string | undefined {
    const value = Object.hasOwn(this.#chosen, key) ? this.#chosen[key] : undefined
    if (value === undefined) return undefined
    const problem = value === '' ? 'a value is needed' : problemOf?.(value)
    if (problem !== undefined) this.#problems.push(`${this.#flag} ${key}=${value}: ${problem}`)
    return value
  }

  number(key: string, least: number, most: number): number | undefined {
    const text = this.text(key, (given) =>
      /^\d{1,9}$/.test(given) && Number(given) >= least && Number(given) <= most
        ? undefined
        : `a number from ${least} to ${most} is needed`,
    )
    return text === undefined ? undefined : Number(text)
  }

  flag(key: string): boolean | undefined {
    const text = this.text(key, (given) => oneOf(given, ['true', 'false', '1', '0']))
    return text === undefined ? undefined : text === 'true' || text === '1'
  }

  /** Throws what was found. */
  end(): void {
    const [first] = this.#problems
    if (first === undefined) return
    const fields = this.#problems.map((message) => ({ pointer: '/Options', message }))
    throw new NetworkError('invalid', `Cannot take the options: ${this.#problems.join('; ')}`, {
      fields,
    })
  }
}

function splitList(text: string): readonly string[] {
  return text.split(',').map((part) => part.trim())
}

function oneOf(text: string, known: readonly string[]): string | undefined {
  return known.includes(text) ? undefined : `choose among ${known.join(', ')}`
}
