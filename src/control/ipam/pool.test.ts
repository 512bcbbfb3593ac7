import { test } from 'bun:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { IP } from '../../net/ip.ts'
import { type Prefix, prefixContains } from '../../net/prefix.ts'
import { ip, prefix } from '../../net/testing.ts'
import { AddressPool } from './pool.ts'

const subnet = prefix('10.9.0.0/24')
const block = prefix('10.9.0.240/29')
const last = prefix('10.9.0.248/29')
const broadcast = ip('10.9.0.255')

function pool(...blocks: Prefix[]): AddressPool {
  const made = new AddressPool({ prefixes: [subnet], gateways: [ip('10.9.0.1')] })
  made.setBlocks(new Set(blocks))
  return made
}

test('a pool without blocks has nothing', () => {
  assert.equal(pool().take(subnet, 0, true), undefined)
})

test('every address of the blocks is given once, the broadcast and the host’s own never', () => {
  const own = pool(block, last)
  const given = new Set<string>()
  for (let address = own.take(subnet, 0, false); address; address = own.take(subnet, 0, false)) {
    given.add(address)
  }
  assert.equal(given.size, 13)
  for (const never of ['10.9.0.247', '10.9.0.254', '10.9.0.255']) assert.ok(!given.has(never))
})

test('a released address comes back after its rest, or sooner when there is hurry', () => {
  const own = pool(prefix('10.9.0.240/32'))
  const address = own.take(subnet, 0, false) ?? ip('0.0.0.0')
  own.use(address, 'e1')
  own.forgetPromise(address)
  own.release(address, 'another', 60) // not its endpoint
  assert.equal(own.holderOf(address), 'e1')
  own.release(address, 'e1', 60)
  assert.equal(own.take(subnet, 59, false), undefined)
  assert.equal(own.take(subnet, 59, true), address)
  own.forgetPromise(address)
  assert.equal(own.take(subnet, 60, false), address)
})

test('an excluded address is not given and keeps its block from being empty', () => {
  const own = pool(prefix('10.9.0.240/31'))
  own.setExcluded(new Set([ip('10.9.0.240')]))
  assert.deepEqual(own.emptyBlocksIn(subnet), [])
  assert.equal(own.take(subnet, 0, true), ip('10.9.0.241'))
  own.forgetPromise(ip('10.9.0.241'))
  own.setExcluded(new Set())
  assert.deepEqual(own.emptyBlocksIn(subnet), [prefix('10.9.0.240/31')])
})

test('a kept address is never chosen, not even in a hurry, and can be promised', () => {
  const own = pool(prefix('10.9.0.240/31'))
  own.setKept(new Set([ip('10.9.0.240')]))
  assert.equal(own.take(subnet, 0, false), ip('10.9.0.241'))
  assert.equal(own.take(subnet, 0, true), undefined)
  own.promise(ip('10.9.0.240'))
  own.use(ip('10.9.0.240'), 'e1')
  own.forgetPromise(ip('10.9.0.240'))
  own.release(ip('10.9.0.240'), 'e1', 60)
  assert.equal(own.take(subnet, 0, true), undefined)
  assert.equal(own.take(subnet, 100, true), undefined)
  own.setKept(new Set())
  assert.equal(own.take(subnet, 100, false), ip('10.9.0.240'))
})

test('an address somebody may come back for is chosen last, from whatever block', () => {
  const wished = ip('10.9.0.240')
  const own = new AddressPool(
    { prefixes: [subnet], gateways: [ip('10.9.0.1')] },
    (address) => address === wished,
  )
  own.setBlocks(new Set([prefix('10.9.0.240/31'), prefix('10.9.0.248/31')]))
  const given = Array.from({ length: 4 }, () => own.take(subnet, 0, false))
  assert.deepEqual(given, [ip('10.9.0.241'), ip('10.9.0.248'), ip('10.9.0.249'), wished])
})

test('an IPv6 block of 2^64 addresses is as quick', () => {
  const wide = prefix('fd80::/48')
  const own = new AddressPool({ prefixes: [wide], gateways: [ip('fd80::1')] })
  own.setBlocks(new Set([prefix('fd80::/64')]))
  assert.equal(own.take(wide, 0, false), ip('fd80::2')) // after the anycast address and the gateway
})

test('the count of taken addresses is what a scan would find, whatever happens', () => {
  const offset = fc.integer({ min: 236, max: 255 })
  const step = fc.oneof(
    fc.record({ do: fc.constantFrom('use', 'release', 'promise', 'forget', 'rest'), offset }),
    fc.record({ do: fc.constant('take'), offset }),
    fc.record({ do: fc.constant('exclude'), offset }),
    fc.record({ do: fc.constantFrom('one block', 'both blocks'), offset }),
  )
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const own = pool(block, last)
      for (const [time, { do: what, offset: at }] of steps.entries()) {
        const address = ip(`10.9.0.${at}`)
        if (what === 'use' && own.holderOf(address) === undefined && at !== 255)
          own.use(address, 'e')
        if (what === 'release') own.release(address, 'e', time + 5)
        if (what === 'promise' && own.holderOf(address) === undefined && at !== 255) {
          own.promise(address)
        }
        if (what === 'forget') own.forgetPromise(address)
        if (what === 'rest') own.rest(address, time + 5)
        if (what === 'take') {
          const taken = own.take(subnet, time, at % 2 === 0)
          if (taken !== undefined) assert.ok(own.blockOf(taken))
        }
        if (what === 'exclude') own.setExcluded(new Set(at % 2 === 0 ? [address] : []))
        if (what === 'one block') own.setBlocks(new Set([block]))
        if (what === 'both blocks') own.setBlocks(new Set([block, last]))
        const inUse = addresses().filter((a) => own.holderOf(a) !== undefined && a !== broadcast)
        const empty = [block, last].filter(
          (b) => own.blocksIn(subnet).includes(b) && !inUse.some((a) => prefixContains(b, a)),
        )
        assert.deepEqual([...own.emptyBlocksIn(subnet)].sort(), empty.sort())
      }
    }),
  )
})

function addresses(): readonly IP[] {
  return Array.from({ length: 16 }, (_, i) => ip(`10.9.0.${240 + i}`))
}

test('an area gives addresses of it only, whether it is larger or smaller than the blocks', () => {
  const own = pool(prefix('10.9.0.240/28'), prefix('10.9.0.16/28'))
  assert.equal(own.take(prefix('10.9.0.20/30'), 0, true), ip('10.9.0.20'))
  assert.equal(own.take(prefix('10.9.0.16/28'), 0, true), ip('10.9.0.21'))
  assert.equal(own.take(prefix('10.9.0.20/30'), 0, true), ip('10.9.0.22'))
  assert.equal(own.take(prefix('10.9.0.20/30'), 0, true), ip('10.9.0.23'))
  assert.equal(own.take(prefix('10.9.0.20/30'), 0, true), undefined)
  assert.equal(own.take(prefix('10.9.0.128/25'), 0, true), ip('10.9.0.240'))
})
