import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { RESOLVER_PORT, resolverPorts } from './resolver.ts'

test('every network has a port of its own, whatever the order, and near to nobody else’s', () => {
  const someNetworks = fc.uniqueArray(fc.integer({ min: 1, max: 2 ** 24 - 1 }), { maxLength: 40 })
  fc.assert(
    fc.property(someNetworks, (vnis) => {
      // Many that would like the same one.
      const networks = vnis.map((vni) => ({ id: `${vni}`, vni: vni - (vni % 512) + (vni % 3) + 1 }))
      const unique = [...new Map(networks.map((each) => [each.vni, each])).values()]
      const ports = resolverPorts(unique)
      expect(new Set(ports.values()).size).toBe(unique.length)
      expect([...resolverPorts(unique.toReversed())].toSorted()).toEqual([...ports].toSorted())
      for (const port of ports.values()) expect(port > RESOLVER_PORT && port < 32_768).toBe(true)
    }),
  )
})
