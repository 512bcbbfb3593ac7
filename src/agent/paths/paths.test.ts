import { expect, test } from 'bun:test'
import { systemClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { probeAddress } from '../../model/probe-network.ts'
import type { IP } from '../../net/ip.ts'
import { hostOf, networkOf } from '../../plan/testing.ts'
import type { ReplicaChange } from '../../store/replica/replica.ts'
import { PathMemory } from './memory.ts'
import { Paths } from './paths.ts'

test('hosts without a sign of life are not asked until they give one', async () => {
  using over = new Over()
  const hosts = [1, 2, 3].map((index) => hostOf(index, `127.77.0.${index}`))
  const [self] = hosts
  if (self === undefined) throw new Error('no host')
  const alive = new Set(['host2'])
  const asked = new Asked()
  let tell: (changes: readonly ReplicaChange[]) => void = () => {}
  const paths = new Paths({
    replica: {
      hostId: self.id,
      host: (id) => hosts.find((host) => host.id === id),
      hosts: () => hosts,
      networks: () => [networkOf('blue', 7, ['10.80.0.0/16'], 'vxlan')],
      alive: (id) => (alive.has(id) ? { bootId: '', instance: '', since: '' } : undefined),
      subscribe: (listener) => {
        tell = listener
        return () => {}
      },
    },
    memory: new PathMemory({ settings: { get: () => undefined, set: () => {} } }, silentLog),
    self: () => self,
    open: async () => ({
      send: (_datagram, to) => asked.note(to),
      [Symbol.dispose]: () => {},
    }),
    onNews: () => {},
    periodMs: 60_000,
    clock: systemClock(),
    random: () => 0,
    log: silentLog,
    signal: over.signal,
  })
  paths.start()
  await asked.until(probeAddress(2))
  expect([...asked.all]).toEqual([probeAddress(2)])
  alive.add('host3')
  tell([{ kind: 'alive', id: 'host3' }])
  await asked.until(probeAddress(3))
  expect(paths.reports.map(({ hostId }) => hostId)).not.toContain('host3')
})

/** Aborts at the end of the test. */
class Over extends AbortController implements Disposable {
  [Symbol.dispose](): void {
    this.abort()
  }
}

/** Who was asked. Nobody answers. */
class Asked {
  readonly all = new Set<IP>()
  #waiting: { readonly address: IP; readonly resolve: () => void }[] = []

  note(to: IP): boolean {
    this.all.add(to)
    for (const { address, resolve } of this.#waiting) if (address === to) resolve()
    return true
  }

  until(address: IP): Promise<void> {
    if (this.all.has(address)) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ address, resolve }))
  }
}
