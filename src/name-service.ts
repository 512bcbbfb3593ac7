/** Puts the resolver together: the table that the agent keeps, the doors, and whom else to ask. */

import { NameKeeper } from './agent/names.ts'
import type { Settings } from './cli/settings.ts'
import { Forwarder } from './dns/forwarder.ts'
import { DnsServer } from './dns/server.ts'
import { Upstreams } from './dns/upstreams.ts'
import { listenMarkedTcp, openMarkedUdp } from './kernel/marked-sockets.ts'
import type { Clock } from './lib/clock.ts'
import type { Log } from './lib/log.ts'
import type { Replica } from './store/replica/replica.ts'

export interface NameServiceOptions {
  readonly replica: Replica
  readonly settings: Pick<
    Settings,
    'resolverAddresses' | 'resolverServers' | 'resolverDomain' | 'packetMarkMask'
  >
  readonly clock: Clock
  readonly log: Log
}

/** Answers for names until it is disposed; does nothing where no address is set. */
export function startNameService({
  replica,
  settings,
  clock,
  log,
}: NameServiceOptions): Disposable {
  const stack = new DisposableStack()
  const { resolverAddresses: resolvers, packetMarkMask } = settings
  if (resolvers.length === 0) return stack
  const nowMs = (): number => clock.monotonicMs()
  const upstreams = new Upstreams({
    servers: settings.resolverServers,
    file: '/etc/resolv.conf',
    own: resolvers,
    nowMs,
    log,
  })
  const keeper = stack.use(new NameKeeper({ replica, resolvers, packetMarkMask }))
  const { names } = keeper
  const server = stack.use(
    new DnsServer({
      table: {
        addresses: (asker, name) => names.addresses(asker, name),
        names: (asker, address) => names.names(asker, address),
      },
      domain: settings.resolverDomain,
      random: Math.random,
      forwarder: new Forwarder({ servers: () => upstreams.list(), nowMs }),
      sockets: { openUdp: openMarkedUdp, listenTcp: listenMarkedTcp },
      log,
    }),
  )
  // Who asks before every name is there must not hear that there is none.
  void keeper.complete.then((complete) => {
    if (complete && !stack.disposed) keeper.onDoors((doors) => server.want(doors))
  })
  return stack
}
