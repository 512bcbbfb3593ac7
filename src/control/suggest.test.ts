import { test } from 'bun:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { NetworkError } from '../lib/errors.ts'
import type { Network } from '../model/network.ts'
import { ipFromNumber } from '../net/ip.ts'
import { type Prefix, prefixAround, prefixesOverlap, prefixLength } from '../net/prefix.ts'
import { prefix } from '../net/testing.ts'
import { host, network } from '../store/replica/fixtures.ts'
import type { Surroundings } from './overlap.ts'
import { type SuggestSpec, suggestPrefixes } from './suggest.ts'

const bytes = (count: number): Uint8Array => crypto.getRandomValues(new Uint8Array(count))

function around(networks: readonly Prefix[], routes: readonly Prefix[] = []): Surroundings {
  const made = networks.map((each, i): Network => network(`n${i}`, { prefixes: [each] }))
  return {
    networks: made,
    hosts: [host('a')],
    facts: () => ({ schema: 1, routes: routes.map((each) => ({ prefix: each, device: 'eth1' })) }),
  }
}

const suggest = (spec: SuggestSpec, surroundings: Surroundings) =>
  suggestPrefixes(spec, surroundings, bytes)

for (const { why, spec, networks = [], routes = [], want } of [
  { why: 'nothing known', spec: {}, want: ['10.64.0.0/16'] },
  {
    why: 'a network and a route',
    spec: { count: 2 },
    networks: ['10.64.0.0/15'],
    routes: ['10.67.3.0/24'],
    want: ['10.66.0.0/16', '10.68.0.0/16'],
  },
  { why: 'all of 10.0.0.0/8 routed', spec: {}, routes: ['10.0.0.0/8'], want: ['172.16.0.0/16'] },
  {
    why: 'a size that fits nowhere else',
    spec: { length: 9 },
    networks: ['10.64.0.0/16'],
    want: ['10.128.0.0/9'],
  },
  {
    why: 'shared space when asked for',
    spec: { shared: true },
    routes: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'],
    want: ['100.64.0.0/16'],
  },
]) {
  test(`suggestPrefixes() with ${why}: ${want.join(' ')}`, () => {
    const found = suggest(spec, around(networks.map(prefix), routes.map(prefix)))
    assert.deepEqual(found as readonly string[], want)
  })
}

test('suggestPrefixes() of IPv6 is random, unique local and /48', () => {
  const [one, other] = suggest({ family: 6, count: 2 }, around([]))
  assert.match(one ?? '', /^fd[0-9a-f]{2}:[0-9a-f:]+::\/48$/)
  assert.notEqual(one, other)
})

for (const { spec, code, message } of [
  { spec: { length: 31 }, code: 'invalid', message: /\/8 to \/30, not \/31/ },
  { spec: { length: 7 }, code: 'invalid', message: /not \/7/ },
  { spec: { family: 6 as const, length: 16 }, code: 'invalid', message: /\/48 to \/126/ },
  { spec: { count: 0 }, code: 'invalid', message: /1 to 100/ },
  { spec: { count: 101 }, code: 'invalid', message: /1 to 100/ },
]) {
  test(`suggestPrefixes() of ${JSON.stringify(spec)} is refused`, () => {
    assert.throws(
      () => suggest(spec, around([])),
      (error: unknown) =>
        error instanceof NetworkError && error.code === code && message.test(error.message),
    )
  })
}

test('suggestPrefixes() says when nothing is left', () => {
  const all = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'].map(prefix)
  assert.throws(
    () => suggest({}, around([], all)),
    (error: unknown) => error instanceof NetworkError && error.code === 'exhausted',
  )
})

test('suggested prefixes are private, of the size asked for, and overlap nothing known', () => {
  const somewhere = fc
    .tuple(fc.integer({ min: 0, max: 2 ** 24 - 1 }), fc.integer({ min: 9, max: 30 }))
    .map(([n, length]) => prefixAround(ipFromNumber(BigInt(10 * 2 ** 24 + n), 4), length))
  fc.assert(
    fc.property(
      fc.array(somewhere, { maxLength: 30 }),
      fc.integer({ min: 12, max: 30 }), // 172.16.0.0/12 is always free
      fc.integer({ min: 1, max: 20 }),
      (taken, length, count) => {
        const found = suggest({ length, count }, around(taken))
        for (const [i, one] of found.entries()) {
          assert.equal(prefixLength(one), length)
          const others = [...taken, ...found.slice(i + 1), prefix('192.0.2.0/24')]
          assert.ok(others.every((other) => !prefixesOverlap(other, one)))
        }
      },
    ),
  )
})
