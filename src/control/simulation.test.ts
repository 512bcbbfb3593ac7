import { test } from 'bun:test'
import fc from 'fast-check'
import { prefix } from '../net/testing.ts'
import { World } from './world.ts'

const NETWORKS = new Map([
  ['blue', ['10.9.0.0/27', '2001:db8::/123']],
  ['red', ['10.9.0.0/28']],
])

const host = fc.nat(3)
const network = fc.constantFrom('blue', 'red')
const operation = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('attach' as const),
      host,
      network,
      wanted: fc.option(fc.integer({ min: 2, max: 30 }), { freq: 3 }),
      name: fc.option(fc.constantFrom('web', 'db'), { freq: 2 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('plug' as const),
      host,
      network,
      wanted: fc.option(fc.integer({ min: 2, max: 30 }), { freq: 3 }),
      within: fc.option(fc.constantFrom('10.9.0.8/29', '10.9.0.12/31', '10.9.0.0/27')),
      only: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('reserve' as const, 'unreserve' as const),
      host,
      network,
      name: fc.constantFrom('web', 'db'),
      address: fc.integer({ min: 2, max: 30 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('burst' as const),
      network,
      wanted: fc.array(fc.option(fc.constantFrom(2, 3, 26, 28, 30), { freq: 2 }), {
        minLength: 4,
        maxLength: 4,
      }),
      lost: fc.nat(3),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('detach' as const), host, n: fc.nat(20) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom('cut' as const, 'heal' as const), host }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('restart' as const), host, crash: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      ms: fc.constantFrom(10, 1_000, 20_000, 70_000),
      jumpMs: fc.integer({ min: -86_400_000, max: 86_400_000 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('back up' as const, 'restore disk' as const, 'clone' as const),
      host,
      network,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('snapshot' as const, 'restore store' as const) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reclaim' as const), host }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('remove' as const, 'make' as const),
      host,
      network,
    }),
  },
)
const days = fc.array(operation, { maxLength: 40, size: 'max' })
const seed = fc.integer({ min: 1, max: 2 ** 31 - 1 })
type Step = typeof operation extends fc.Arbitrary<infer T> ? T : never

async function take(world: World, step: Step): Promise<void> {
  switch (step.kind) {
    case 'attach': {
      const wanted = step.wanted === null ? [] : [`10.9.0.${step.wanted}`]
      return world.attach(world.place(step.host), step.network, wanted, step.name ?? undefined)
    }
    case 'plug':
      return world.plug(world.place(step.host), step.network, {
        ...(step.wanted === null ? {} : { address: `10.9.0.${step.wanted}` }),
        ...(step.within === null ? {} : { within: prefix(step.within) }),
        only: step.only,
      })
    case 'reserve':
      return world.reserve(
        world.place(step.host),
        step.network,
        step.name,
        `10.9.0.${step.address}`,
      )
    case 'unreserve':
      return world.unreserve(world.place(step.host), step.network, step.name)
    case 'burst': {
      const wanted = step.wanted.map((n) => (n === null ? undefined : `10.9.0.${n}`))
      return world.burst(step.network, wanted, step.lost)
    }
    case 'detach':
      return world.detach(world.place(step.host), step.n)
    case 'cut':
      return world.cut(world.place(step.host))
    case 'heal':
      return world.heal(world.place(step.host))
    case 'restart':
      return world.restart(world.place(step.host), step.crash)
    case 'wait':
      world.scene.clock.wallStartMs += step.jumpMs
      return world.pass(step.ms)
    case 'back up':
      return world.backUpDisk(world.place(step.host))
    case 'restore disk':
      return world.restoreDisk(world.place(step.host))
    case 'clone':
      return world.clone(world.place(step.host), step.network)
    case 'snapshot':
      return world.snapshotStore()
    case 'restore store':
      return world.restoreStore()
    case 'reclaim':
      return world.reclaim(world.place(step.host))
    case 'remove':
      return world.removeNetwork(world.place(step.host), step.network)
    case 'make':
      return world.makeNetwork(world.place(step.host), step.network)
    default:
      step satisfies never
  }
}

/** Days that went wrong once, with the seeds of their delays. */
const REMEMBERED: [Step[], number][] = [
  // The keeper's period ended while it waited for a store that was away: it never looked again, nor stopped.
  [
    [
      { kind: 'burst', network: 'blue', wanted: [null, null, null, null], lost: 0 },
      { kind: 'cut', host: 0 },
      { kind: 'wait', ms: 70_000, jumpMs: 0 },
      { kind: 'detach', host: 0, n: 0 },
      { kind: 'attach', host: 2, network: 'blue', wanted: 16, name: null },
      { kind: 'restart', host: 0, crash: false },
    ],
    5,
  ],
]

test('an address never has two live owners, whatever the days are like', async () => {
  await fc.assert(
    fc.asyncProperty(days, seed, async (steps, delays) => {
      const world = new World(NETWORKS, delays)
      try {
        await world.begin(4)
        for (const step of steps) {
          await take(world, step)
          await world.check()
        }
        await world.settle()
      } finally {
        await world.end()
      }
    }),
    { numRuns: Number(process.env['CARRICK_SIMULATIONS'] ?? 30), examples: REMEMBERED },
  )
}, 300_000)
