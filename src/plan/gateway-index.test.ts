import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { MAX_INDEX } from '../hoststate/marks.ts'
import { prefixesOverlap } from '../net/prefix.ts'
import { prefix } from '../net/testing.ts'
import { gatewayIndexes } from './gateway-index.ts'

const network = (vni: number, ...prefixes: readonly string[]) => ({
  id: `n${vni}`,
  vni,
  prefixes: prefixes.map(prefix),
})

for (const { name, networks, plain } of [
  { name: 'alone', networks: [network(7, '10.0.0.0/16')], plain: ['n7'] },
  {
    name: 'beside another',
    networks: [network(7, '10.0.0.0/16'), network(8, '10.1.0.0/16')],
    plain: ['n7', 'n8'],
  },
  {
    name: 'with the prefix of another',
    networks: [network(8, '10.0.0.0/16'), network(7, '10.0.0.0/16')],
    plain: ['n7'],
  },
  {
    name: 'inside that of another, by its second prefix',
    networks: [network(7, '10.0.0.0/8'), network(8, 'fd00::/64', '10.9.0.0/24')],
    plain: ['n7'],
  },
  {
    name: 'between two that do not meet',
    networks: [network(7, '10.0.0.0/16'), network(8, '10.0.0.0/15'), network(9, '10.1.0.0/16')],
    plain: ['n7'],
  },
]) {
  test(`a network ${name}: index 0 for ${plain.join(' and ')} only`, () => {
    const indexes = gatewayIndexes(networks)
    expect([...indexes].filter(([, index]) => index === 0).map(([id]) => id)).toEqual(plain)
  })
}

const texts = ['10.0.0.0/8', '10.0.0.0/16', '10.1.0.0/16', '10.1.0.0/24', 'fd00::/48', 'fd00::/64']
const some = fc
  .uniqueArray(fc.integer({ min: 1, max: 2 ** 24 - 1 }), { maxLength: 30 })
  .chain((vnis) =>
    fc.tuple(
      ...vnis.map((vni) =>
        fc.subarray(texts, { minLength: 1 }).map((prefixes) => network(vni, ...prefixes)),
      ),
    ),
  )

test('networks that overlap have different indexes, whatever the order in which they are known', () => {
  fc.assert(
    fc.property(some, (networks) => {
      const indexes = gatewayIndexes(networks)
      expect(new Map(gatewayIndexes([...networks].reverse()))).toEqual(new Map(indexes))
      for (const [i, a] of networks.entries()) {
        for (const b of networks.slice(0, i)) {
          const meet = a.prefixes.some((x) => b.prefixes.some((y) => prefixesOverlap(x, y)))
          if (meet) expect(indexes.get(a.id)).not.toBe(indexes.get(b.id) ?? -1)
        }
      }
    }),
  )
})

test('what is too much has no gateway', () => {
  const networks = Array.from({ length: MAX_INDEX + 3 }, (_, i) => network(i + 1, '10.0.0.0/16'))
  const indexes = gatewayIndexes(networks)
  expect(indexes.size).toBe(MAX_INDEX + 1)
  expect(new Set(indexes.values()).size).toBe(MAX_INDEX + 1)
})
