import { expect, test } from 'bun:test'
import fc from 'fast-check'
import type { Kind, Wanted } from '../hoststate/state.ts'
import { KIND_ORDER, keyOf } from '../hoststate/state.ts'
import { NetworkError } from '../lib/errors.ts'
import { ip, mac } from '../net/testing.ts'
import { type ObjectChange, Reconciler } from './reconcile.ts'
import type { Resource, Resources } from './resource.ts'

/** A kernel that is a map per kind, logs every change and refuses what it is told to refuse, once. */
class ScriptedKernel {
  readonly things = new Map<Kind, Map<string, Wanted>>(KIND_ORDER.map((kind) => [kind, new Map()]))
  readonly log: string[] = []
  readonly refuse = new Set<string>()

  of(kind: Kind): Map<string, Wanted> {
    const things = this.things.get(kind)
    if (things === undefined) throw new Error(kind)
    return things
  }

  resources(): Resources {
    const resource = (kind: Kind): Resource => ({
      kind,
      equal: (want, have) => JSON.stringify(want) === JSON.stringify(have),
      list: () => [...this.of(kind).values()],
      put: (want) => {
        if (this.refuse.delete(`${kind} ${keyOf(want)}`)) {
          throw new NetworkError('kernel', `Cannot put ${kind} ${keyOf(want)}: refused`)
        }
        this.log.push(`put ${kind} ${keyOf(want)}`)
        this.of(kind).set(keyOf(want), want)
      },
      remove: (have) => {
        this.log.push(`remove ${kind} ${keyOf(have)}`)
        this.of(kind).delete(keyOf(have))
      },
    })
    return Object.fromEntries(
      KIND_ORDER.map((kind) => [kind, resource(kind)]),
    ) as unknown as Resources
  }

  all(): readonly Wanted[] {
    return [...this.things.values()].flatMap((each) => [...each.values()])
  }
}

const someMac = mac('0a:00:00:00:00:01')

/** A local container that is a veth and an entry for its address. */
function container(device: string, address: string): readonly Wanted[] {
  return [
    {
      kind: 'veth',
      name: device,
      mac: someMac,
      mtuBytes: 1450,
      alias: device,
      sandbox: { path: `/run/netns/${device}`, inode: 1 },
      peer: { name: 'eth0', mac: someMac },
    },
    { kind: 'endpoint', vni: 1, address: ip(address), mac: someMac, at: { device } },
  ]
}

function remote(address: string, hostIndex: number): readonly Wanted[] {
  return [{ kind: 'endpoint', vni: 1, address: ip(address), mac: someMac, at: { hostIndex } }]
}

test('things are put in the order of kinds and removed in the opposite one', () => {
  const kernel = new ScriptedKernel()
  const reconciler = new Reconciler(kernel.resources())
  reconciler.apply([{ object: 'endpoint/a', wanted: container('cka', '10.0.0.1') }])
  reconciler.apply([{ object: 'endpoint/a', wanted: [] }])
  expect(kernel.log).toEqual([
    'put veth cka',
    'put endpoint 1/10.0.0.1',
    'remove endpoint 1/10.0.0.1',
    'remove veth cka',
  ])
})

test('applying twice changes nothing the second time', () => {
  const kernel = new ScriptedKernel()
  const reconciler = new Reconciler(kernel.resources())
  const change = { object: 'endpoint/a', wanted: container('cka', '10.0.0.1') }
  reconciler.apply([change])
  kernel.log.length = 0
  reconciler.apply([{ ...change, wanted: container('cka', '10.0.0.1') }])
  expect(reconciler.audit({ kinds: KIND_ORDER })).toEqual({ repaired: {}, failures: [] })
  expect(kernel.log).toEqual([])
})

test('an address that moved belongs to the newer object, whichever event comes first', () => {
  const old: ObjectChange = { object: 'endpoint/01old', wanted: remote('10.0.0.1', 2) }
  const moved: ObjectChange = { object: 'endpoint/02new', wanted: remote('10.0.0.1', 3) }
  for (const order of [
    [old, moved],
    [moved, old],
  ]) {
    const kernel = new ScriptedKernel()
    const reconciler = new Reconciler(kernel.resources())
    for (const change of order) reconciler.apply([change])
    expect(kernel.all()).toEqual([...moved.wanted])
    reconciler.apply([{ object: old.object, wanted: [] }])
    expect(kernel.all()).toEqual([...moved.wanted])
  }
})

test('a failure is told for its object, ends its part, and leaves the others alone', () => {
  const kernel = new ScriptedKernel()
  kernel.refuse.add('veth cka')
  const reconciler = new Reconciler(kernel.resources())
  const changes = [
    { object: 'endpoint/a', wanted: container('cka', '10.0.0.1') },
    { object: 'endpoint/b', wanted: container('ckb', '10.0.0.2') },
  ]
  expect(reconciler.apply(changes)).toEqual([
    { object: 'endpoint/a', code: 'kernel', message: 'Cannot put veth cka: refused' },
  ])
  expect(kernel.all().map(keyOf)).toEqual(['ckb', '1/10.0.0.2'])
  expect(reconciler.apply(changes)).toEqual([])
  expect(kernel.all()).toHaveLength(4)
})

test('a resync removes what nobody claims and repairs what differs', () => {
  const kernel = new ScriptedKernel()
  for (const wanted of container('ckleft', '10.0.0.9'))
    kernel.of(wanted.kind).set(keyOf(wanted), wanted)
  const reconciler = new Reconciler(kernel.resources())
  reconciler.apply([{ object: 'endpoint/b', wanted: container('ckb', '10.0.0.2') }])
  reconciler.announce([{ object: 'endpoint/a', wanted: container('cka', '10.0.0.1') }])
  expect(kernel.all().map(keyOf)).not.toContain('cka')
  const repair = reconciler.resync()
  expect(repair.repaired).toEqual({ veth: 3, endpoint: 3 })
  expect(kernel.all()).toEqual([...container('cka', '10.0.0.1')])
})

test('in place only what is wanted is read again: leftovers wait for a whole audit', () => {
  const kernel = new ScriptedKernel()
  const reconciler = new Reconciler(kernel.resources())
  reconciler.apply([{ object: 'endpoint/a', wanted: container('cka', '10.0.0.1') }])
  for (const wanted of container('stray', '10.0.0.9'))
    kernel.of(wanted.kind).set(keyOf(wanted), wanted)
  kernel.of('veth').delete('cka')
  kernel.log.length = 0
  const scope = { kinds: KIND_ORDER, inPlace: ['veth'] } as const
  expect(reconciler.audit(scope).repaired).toEqual({ veth: 1, endpoint: 1 })
  expect(kernel.log).toEqual(['remove endpoint 1/10.0.0.9', 'put veth cka'])
  expect(reconciler.audit({ kinds: KIND_ORDER }).repaired).toEqual({ veth: 1 })
  expect(kernel.log.at(-1)).toBe('remove veth stray')
})

test('a resync from an old copy spares what stands for other hosts', () => {
  const kernel = new ScriptedKernel()
  for (const wanted of [...container('ckleft', '10.0.0.9'), ...remote('10.0.0.8', 2)]) {
    kernel.of(wanted.kind).set(keyOf(wanted), wanted)
  }
  const reconciler = new Reconciler(kernel.resources())
  reconciler.announce([{ object: 'endpoint/a', wanted: container('cka', '10.0.0.1') }])
  reconciler.resync(true)
  expect(kernel.all().map(keyOf).sort()).toEqual(['1/10.0.0.1', '1/10.0.0.8', 'cka'])
  reconciler.announce([{ object: 'endpoint/a', wanted: container('cka', '10.0.0.1') }])
  reconciler.resync()
  expect(kernel.all().map(keyOf).sort()).toEqual(['1/10.0.0.1', 'cka'])
})

test('reapplying puts everything again that the owner of a thing wants', () => {
  const kernel = new ScriptedKernel()
  const reconciler = new Reconciler(kernel.resources())
  reconciler.apply([{ object: 'endpoint/a', wanted: container('cka', '10.0.0.1') }])
  kernel.log.length = 0
  expect(reconciler.reapply('veth', 'cka')).toEqual([])
  expect(kernel.log).toEqual(['put veth cka', 'put endpoint 1/10.0.0.1'])
  expect(reconciler.reapply('veth', 'cknobody')).toEqual([])
})

test('what stood when its object could not be put any more goes with the object', () => {
  const kernel = new ScriptedKernel()
  const reconciler = new Reconciler(kernel.resources())
  reconciler.apply([{ object: 'endpoint/a', wanted: container('cka', '10.0.0.2') }])
  // Its namespace is gone, and the pair with it; the entry of its address is not.
  kernel.of('veth').clear()
  kernel.refuse.add('veth cka')
  expect(reconciler.reapply('veth', 'cka')).toHaveLength(1)
  reconciler.apply([{ object: 'endpoint/a', wanted: [] }])
  expect(kernel.all()).toEqual([])
})

test('whatever happens and whatever is refused, an audit ends in what the objects want', () => {
  const address = fc.nat(5).map((n) => `10.0.0.${n}`)
  const object = fc.nat(5).map((n) => `endpoint/${n}`)
  const wanted = fc.oneof(
    fc.constant([] as readonly Wanted[]),
    fc.tuple(fc.nat(3), address).map(([n, a]) => container(`ck${n}`, a)),
    fc.tuple(address, fc.nat(3)).map(([a, n]) => remote(a, n)),
  )
  const step = fc.oneof(
    fc.record({ object, wanted, refuse: fc.boolean() }),
    fc.record({ destroy: fc.constantFrom('ck0', 'ck1', '1/10.0.0.0', '1/10.0.0.1') }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const kernel = new ScriptedKernel()
      const reconciler = new Reconciler(kernel.resources())
      const model = new Map<string, readonly Wanted[]>()
      for (const each of steps) {
        if ('destroy' in each) {
          for (const things of kernel.things.values()) things.delete(each.destroy)
          continue
        }
        const [first] = each.wanted
        if (each.refuse && first !== undefined) kernel.refuse.add(`${first.kind} ${keyOf(first)}`)
        reconciler.apply([{ object: each.object, wanted: each.wanted }])
        model.set(each.object, each.wanted)
      }
      kernel.refuse.clear()
      reconciler.audit({ kinds: KIND_ORDER })
      const expected = new Map<string, Wanted>()
      for (const [, things] of [...model].sort(([a], [b]) => (a < b ? -1 : 1))) {
        for (const thing of things) expected.set(`${thing.kind} ${keyOf(thing)}`, thing)
      }
      const have = new Map(kernel.all().map((thing) => [`${thing.kind} ${keyOf(thing)}`, thing]))
      expect([...have].sort()).toEqual([...expected].sort())
    }),
  )
})
