/** A control that keeps its state in memory, for tests of what stands in front of it. */

import type {
  AttachedEndpoint,
  AttachSpec,
  Control,
  HostView,
  StatusView,
} from '../../control/control.ts'
import { patchNetwork } from '../../control/network-patch.ts'
import { NetworkError } from '../../lib/errors.ts'
import type { Endpoint, PublishedEndpoint } from '../../model/endpoint.ts'
import type { Network } from '../../model/network.ts'
import type { Publication } from '../../model/publication.ts'
import { type IP, parseIP } from '../../net/ip.ts'
import { type Mac, parseMac } from '../../net/mac.ts'
import { type Prefix, parsePrefix } from '../../net/prefix.ts'
import { createFakeAddresses } from './fake-addresses.ts'

export const CREATED_AT = '2026-01-02T03:04:05.678Z'

/** State that a test may look into and change; `fail` makes the named call throw once. */
export interface FakeControl extends Control {
  readonly networks: Network[]
  readonly endpoints: (Endpoint | PublishedEndpoint)[]
  readonly attached: AttachSpec[]
  readonly publications: Publication[]
  fail(call: keyof Control, error: unknown): void
}

export function ip(text: string): IP {
  return sure(parseIP(text), text)
}

export function prefix(text: string): Prefix {
  return sure(parsePrefix(text), text)
}

export function mac(text: string): Mac {
  return sure(parseMac(text), text)
}

export function fakeNetwork(name: string, number = 1): Network {
  return {
    schema: 1,
    id: `net0000${number}`,
    name,
    vni: 4096 + number,
    prefixes: [prefix('10.80.0.0/16'), prefix('fd80::/48')],
    gateways: [ip('10.80.0.1'), ip('fd80::1')],
    carrier: 'auto',
    internal: false,
    masquerade: true,
    open: [],
    labels: { tier: name },
    createdAt: CREATED_AT,
  }
}

export function fakeEndpoint(number: number, fields: Partial<Endpoint> = {}): Endpoint {
  const suffix = 10 + number
  const digits = String(number).padStart(4, '0')
  return {
    schema: 1,
    id: `ep${digits}`,
    networkId: 'net00001',
    hostId: 'host0001',
    addresses: [ip(`10.80.${suffix >> 8}.${suffix & 255}`), ip(`fd80::${suffix}`)],
    mac: mac(`02:00:00:00:00:${String(number % 100).padStart(2, '0')}`),
    name: `web${number}`,
    labels: { app: number % 2 === 0 ? 'even' : 'odd' },
    sandbox: { path: `/run/netns/c${number}`, inode: 4_026_530_000 + number },
    ifname: 'eth0',
    order: 0,
    device: `ck${digits}`,
    number,
    createdAt: CREATED_AT,
    ...fields,
  }
}

const HOST: HostView = {
  host: {
    schema: 1,
    id: 'host0001',
    name: 'h1',
    index: 1,
    underlay: [
      {
        address: ip('192.0.2.1'),
        prefix: prefix('192.0.2.0/24'),
        mac: mac('02:00:00:00:01:01'),
        mtuBytes: 1500,
      },
    ],
    vxlanPort: 4789,
    carriers: ['local', 'vxlan', 'direct'],
    version: '0.1.0',
    publishedSequence: 7,
    epoch: 1,
  },
  alive: true,
  self: true,
  status: undefined,
  paths: [],
  endpoints: 0,
}

const STATUS: StatusView = {
  hostId: 'host0001',
  hostName: 'h1',
  version: '0.1.0',
  store: { kind: 'embedded', address: '[::]:7440', connected: true, revision: 42 },
  journalSequence: 7,
  publishedSequence: 7,
  settled: true,
  networks: 1,
  endpoints: { local: 0, remote: 0 },
  driftRepaired: {},
  failures: [],
  warnings: [],
}

export function createFakeControl(): FakeControl {
  const networks: Network[] = []
  const endpoints: (Endpoint | PublishedEndpoint)[] = []
  const attached: AttachSpec[] = []
  const publications: Publication[] = []
  const failures = new Map<keyof Control, unknown>()
  const hosts = new Map([[HOST.host.id, HOST]])

  const mayFail = (call: keyof Control): void => {
    if (!failures.has(call)) return
    const error = failures.get(call)
    failures.delete(call)
    throw error
  }
  const find = <T extends { readonly id: string; readonly name?: string }>(
    kind: string,
    items: readonly T[],
    reference: string,
  ): T => {
    const item = items.find(({ id, name }) => id === reference || name === reference)
    if (item !== undefined) return item
    throw new NetworkError('not-found', `Cannot find the ${kind} "${reference}"`)
  }
  const status = (): StatusView => {
    const local = endpoints.filter((endpoint) => 'sandbox' in endpoint).length
    return {
      ...STATUS,
      networks: networks.length,
      endpoints: { local, remote: endpoints.length - local },
    }
  }
  const getNetwork = (reference: string): Network => find('network', networks, reference)
  const getEndpoint = (reference: string, network?: string): Endpoint | PublishedEndpoint => {
    const within = network === undefined ? undefined : getNetwork(network).id
    const candidates = endpoints.filter((e) => within === undefined || e.networkId === within)
    return find('endpoint', candidates, reference)
  }
  const getHost = (reference: string): HostView => {
    const host = [...hosts.values()].find(({ host: { id, name } }) =>
      [id, name].includes(reference),
    )
    if (host !== undefined) return host
    throw new NetworkError('not-found', `Cannot find the host "${reference}"`)
  }

  return {
    ...createFakeAddresses(getNetwork, CREATED_AT),
    networks,
    endpoints,
    attached,
    publications,
    fail: (call, error) => void failures.set(call, error),

    async createNetwork(spec) {
      mayFail('createNetwork')
      if (networks.some(({ name }) => name === spec.name)) {
        throw new NetworkError(
          'already-exists',
          `Cannot create network ${spec.name}: the name is taken`,
        )
      }
      const network: Network = {
        ...fakeNetwork(spec.name, networks.length + 1),
        prefixes: (spec.subnets ?? []).map(prefix),
        carrier: spec.carrier ?? 'auto',
        ...(spec.mtuBytes === undefined ? {} : { mtuBytes: spec.mtuBytes }),
        internal: spec.internal ?? false,
        masquerade: spec.masquerade ?? true,
        open: spec.open ?? [],
        labels: spec.labels ?? {},
      }
      networks.push(network)
      return network
    },
    async changeNetwork(reference, patch, { matches } = {}) {
      mayFail('changeNetwork')
      const network = getNetwork(reference)
      if (matches?.(network) === false) {
        throw new NetworkError('conflict', 'Cannot change it: it has changed since it was read')
      }
      const changed = patchNetwork(network, patch)
      const { carrier = network.carrier } = changed
      networks[networks.indexOf(network)] = { ...changed.network, carrier }
      return {
        network: { ...changed.network, carrier },
        notes: carrier === 'direct' ? ['h2 is away'] : [],
      }
    },
    listNetworks: () => networks,
    getNetwork(reference) {
      mayFail('getNetwork')
      return getNetwork(reference)
    },
    async removeNetwork(reference) {
      mayFail('removeNetwork')
      networks.splice(networks.indexOf(getNetwork(reference)), 1)
    },

    async attachAll({ networks: parts, addresses: _, ...target }) {
      const made: AttachedEndpoint[] = []
      for (const part of parts) made.push(await this.attach({ ...target, ...part }))
      return made
    },
    async attach(spec) {
      mayFail('attach')
      const network = getNetwork(spec.network)
      attached.push(spec)
      const endpoint = fakeEndpoint(endpoints.length + 1, {
        networkId: network.id,
        ...(spec.name === undefined ? {} : { name: spec.name }),
        labels: spec.labels ?? {},
        sandbox: { path: spec.netns ?? `/proc/${spec.pid}/ns/net`, inode: 1 },
        ifname: spec.ifname ?? 'eth0',
      })
      endpoints.push(endpoint)
      return { endpoint, publications: [], revision: 8 }
    },
    async detach(reference, network) {
      mayFail('detach')
      endpoints.splice(endpoints.indexOf(getEndpoint(reference, network)), 1)
    },
    listEndpoints(filter = {}) {
      mayFail('listEndpoints')
      return endpoints.filter(
        ({ networkId, hostId }) =>
          (filter.network ?? networkId) === networkId && (filter.host ?? hostId) === hostId,
      )
    },
    getEndpoint,

    async publish(reference, wish, network) {
      mayFail('publish')
      const { id, networkId, hostId } = getEndpoint(reference, network)
      const port = typeof wish === 'string' ? { containerPort: Number(wish) } : wish
      const publication: Publication = {
        ...{ schema: 1, id: `pub0000${publications.length + 1}`, networkId, hostId },
        ...{ endpointId: id, protocol: 'tcp', createdAt: CREATED_AT },
        hostPort: port.hostPort ?? 32_768,
        containerPort: port.containerPort,
        count: port.count ?? 1,
      }
      publications.push(publication)
      return { publication, revision: 9 }
    },
    async unpublish(reference) {
      mayFail('unpublish')
      publications.splice(publications.indexOf(find('publication', publications, reference)), 1)
    },
    listPublications: (filter = {}) =>
      publications.filter(
        ({ networkId, hostId }) =>
          (filter.network ?? networkId) === networkId && (filter.host ?? hostId) === hostId,
      ),
    getPublication: (reference) => find('publication', publications, reference),
    publicationsOf: (endpointId) => publications.filter((one) => one.endpointId === endpointId),

    listHosts: () => [...hosts.values()],
    getHost,
    async removeHost(reference) {
      mayFail('removeHost')
      hosts.delete(getHost(reference).host.id)
    },

    async createToken() {
      mayFail('createToken')
      return { id: 'tok1', text: 'tok1.secret.hash', expiresAt: CREATED_AT }
    },
    status,
    async waitSettled() {
      mayFail('waitSettled')
      return status()
    },
    async listDrops(options) {
      mayFail('listDrops')
      const spoofed = {
        reason: 'spoofed-source',
        endpointId: 'ep0001',
        endpointName: 'web1',
        network: 'blue',
        packets: 1234,
        bytes: 98_304,
      }
      const ignored = { reason: 'ignored', packets: 3, bytes: 240 }
      return options?.all === true ? [spoofed, ignored] : [spoofed]
    },
  }
}

function sure<T>(value: T | undefined, text: string): T {
  if (value === undefined) throw new Error(`The test's own value "${text}" is wrong`)
  return value
}
