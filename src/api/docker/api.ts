/**
 * The methods that an engine calls, in one table: how each body is read, which calls wait for each other, and
 * what is done. Nothing here asks the engine anything. Every call is answered within `ANSWER_MS`; what then is
 * still under way goes on to its end.
 */

import type { Clock } from '../../lib/clock.ts'
import { isNetworkError, NetworkError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { IP } from '../../net/ip.ts'
import { EngineEndpoints } from './endpoints.ts'
import type { EngineControl } from './engine-control.ts'
import { failureOf } from './failure.ts'
import type { PluginApi } from './http.ts'
import { Lanes } from './lanes.ts'
import { Late } from './late.ts'
import { type Message, type MessageName, readMessage } from './messages.ts'
import { EngineNetworks } from './networks.ts'
import { SPACES } from './pool-id.ts'
import { Pools } from './pools.ts'

export interface DockerApiDeps {
  readonly control: EngineControl
  readonly hostId: string
  /** `global` only as a managed plug-in: swarm uses no other. */
  readonly scope: 'local' | 'global'
  /** Where containers ask for names; empty where they are not served. */
  readonly resolvers: readonly IP[]
  readonly clock: Clock
  readonly log: Log
}

/** Managed plug-ins are given 30 s, and swarm gives an attachment 20 s; others are waited for without end. */
const ANSWER_MS = 15_000

interface Method {
  /** Reads the body, throws `invalid`, and gives what is to be done and behind which calls. */
  prepare(body: Uint8Array): { readonly lane: string | undefined; run(): object | Promise<object> }
}

export function createDockerApi(deps: DockerApiDeps): PluginApi {
  const { control, clock, scope } = deps
  const log = deps.log.child('docker')
  const networks = new EngineNetworks({ ...deps, log })
  const endpoints = new EngineEndpoints(control, deps.resolvers)
  const pools = new Pools({ ...deps, log })
  const lanes = new Lanes()

  const ofEndpoint = ({ EndpointID }: { readonly EndpointID: string }) => `endpoint ${EndpointID}`
  const ofNetwork = ({ NetworkID }: { readonly NetworkID: string }) => `network ${NetworkID}`
  const ofPool = ({ PoolID }: { readonly PoolID: string }) => `pool ${PoolID}`
  const ofAddress = ({ PoolID, Address }: { readonly PoolID: string; readonly Address: string }) =>
    control.pendingPools().some(({ poolId }) => poolId === PoolID)
      ? `pool ${PoolID}`
      : Address === ''
        ? undefined
        : `address ${PoolID} ${Address}`

  const methods: Readonly<Record<string, Method>> = {
    ...Object.fromEntries(
      Object.entries(introductions(scope)).map(([name, answer]) => [name, constant(answer)]),
    ),
    ...method('NetworkDriver.GwAllocCheck', () => ({ SkipIPv4: false, SkipIPv6: false })),
    ...method('NetworkDriver.AllocateNetwork', (message) => networks.allocate(message), ofNetwork),
    ...method('NetworkDriver.FreeNetwork', (message) => networks.free(message), ofNetwork),
    ...method('NetworkDriver.CreateNetwork', (message) => networks.create(message), ofNetwork),
    ...method('NetworkDriver.DeleteNetwork', (message) => networks.delete(message), ofNetwork),
    ...method('NetworkDriver.CreateEndpoint', (message) => endpoints.create(message), ofEndpoint),
    ...method('NetworkDriver.EndpointOperInfo', (message) => endpoints.operInfo(message)),
    ...method('NetworkDriver.Join', (message) => endpoints.join(message), ofEndpoint),
    ...method(
      'NetworkDriver.ProgramExternalConnectivity',
      (message) => endpoints.program(message),
      ofEndpoint,
    ),
    ...method(
      'NetworkDriver.RevokeExternalConnectivity',
      (message) => endpoints.revoke(message),
      ofEndpoint,
    ),
    ...method('NetworkDriver.Leave', (message) => endpoints.leave(message), ofEndpoint),
    ...method('NetworkDriver.DeleteEndpoint', (message) => endpoints.delete(message), ofEndpoint),
    // Nodes are known from the shared store.
    ...method('NetworkDriver.DiscoverNew', () => ({})),
    ...method('NetworkDriver.DiscoverDelete', () => ({})),
    ...method('IpamDriver.RequestPool', (message) => pools.requestPool(message)),
    ...method('IpamDriver.ReleasePool', (message) => pools.releasePool(message), ofPool),
    ...method('IpamDriver.RequestAddress', (message) => pools.requestAddress(message), ofAddress),
    ...method('IpamDriver.ReleaseAddress', (message) => pools.releaseAddress(message), ofAddress),
  }

  const call = async (name: string, { prepare }: Method, body: Uint8Array): Promise<object> => {
    const startedMs = clock.monotonicMs()
    try {
      const { lane, run } = prepare(body)
      const answer = await withinTime(
        clock,
        name,
        lanes.run(lane, async () => run()),
      )
      log.debug('engine answered', { method: name, durationMs: clock.monotonicMs() - startedMs })
      return answer
    } catch (error) {
      const durationMs = clock.monotonicMs() - startedMs
      if (isNetworkError(error)) log.info('engine refused', { method: name, durationMs, error })
      else log.error('engine’s call failed', { method: name, durationMs, error })
      return failureOf(error, name)
    }
  }

  return {
    call: (name, body) => {
      const found = Object.hasOwn(methods, name) ? methods[name] : undefined
      return found === undefined ? undefined : call(name, found, body)
    },
  }
}

/**
 * Answers while what is behind the door is not there yet. An engine is told who we are, since it asks that once
 * and never again when the answer was an error; the rest is refused with `reason`.
 */
export function createExcuses(scope: DockerApiDeps['scope'], reason: NetworkError): PluginApi {
  const known = introductions(scope)
  return {
    call: async (name) =>
      Object.hasOwn(known, name) ? { ...known[name] } : failureOf(reason, name),
  }
}

/** What an engine asks first, and what is the same whatever is there. */
export function introductions(scope: DockerApiDeps['scope']): Readonly<Record<string, object>> {
  return {
    'Plugin.Activate': { Implements: ['NetworkDriver', 'IpamDriver'] },
    'NetworkDriver.GetCapabilities': { Scope: scope, ConnectivityScope: 'global' },
    'IpamDriver.GetCapabilities': { RequiresMACAddress: false, RequiresRequestReplay: false },
    'IpamDriver.GetDefaultAddressSpaces': {
      LocalDefaultAddressSpace: SPACES.local,
      GlobalDefaultAddressSpace: SPACES.global,
    },
  }
}

/** One that is answered alike whatever is asked. */
function constant(answer: object): Method {
  return { prepare: () => ({ lane: undefined, run: () => answer }) }
}

function method<Name extends MessageName>(
  name: Name,
  work: (message: Message<Name>) => object | Promise<object>,
  laneOf?: (message: Message<Name>) => string | undefined,
): Readonly<Record<string, Method>> {
  const prepare = (body: Uint8Array) => {
    const message = readMessage(name, body)
    return { lane: laneOf?.(message), run: () => work(message) }
  }
  return { [name]: { prepare } }
}

/** Throws `timeout` when the work takes longer; it goes on. */
async function withinTime<T>(clock: Clock, name: string, work: Promise<T>): Promise<T> {
  using late = new Late(clock, ANSWER_MS)
  const tooLate = late.passed.then(() => {
    throw new NetworkError('timeout', `Cannot answer ${name} within ${ANSWER_MS / 1000} s`, {
      hint: 'carrick status',
    })
  })
  return await Promise.race([work, tooLate])
}
