import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { ipToNumber } from '../../net/ip.ts'
import { ip, prefix } from '../../net/testing.ts'
import { networkOf } from '../../plan/testing.ts'
import { areasOf, cover } from './ranges.ts'

const blue = networkOf('blue', 1, ['10.2.0.0/24', 'fd02::/64'], 'vxlan')

for (const { from, to, want } of [
  { from: '10.0.0.0', to: '10.0.0.255', want: ['10.0.0.0/24'] },
  { from: '10.0.0.5', to: '10.0.0.5', want: ['10.0.0.5/32'] },
  {
    from: '10.0.0.1',
    to: '10.0.0.6',
    want: ['10.0.0.1/32', '10.0.0.2/31', '10.0.0.4/31', '10.0.0.6/32'],
  },
  { from: '0.0.0.0', to: '255.255.255.255', want: ['0.0.0.0/0'] },
  { from: 'fd00::', to: 'fd00::ffff', want: ['fd00::/112'] },
]) {
  test(`cover() of ${from} to ${to}`, () => {
    const family = from.includes(':') ? 6 : 4
    assert.deepEqual([...cover(ipToNumber(ip(from)), ipToNumber(ip(to)), family)], want)
  })
}

test('areasOf() keeps to the network, and leaves the other family alone', () => {
  assert.deepEqual(areasOf(blue, []), [])
  assert.deepEqual(areasOf(blue, [[{ subnet: prefix('10.2.0.0/16') }]]), [
    '10.2.0.0/24',
    'fd02::/64',
  ])
  const parts = [
    { subnet: prefix('10.2.0.0/24'), first: ip('10.2.0.8'), last: ip('10.2.0.11') },
    { subnet: prefix('10.2.0.0/24'), first: ip('10.2.0.250') },
  ]
  assert.deepEqual(areasOf(blue, [parts]), [
    '10.2.0.8/30',
    '10.2.0.250/31',
    '10.2.0.252/30',
    'fd02::/64',
  ])
})

for (const { what, sets, text } of [
  {
    what: 'a range of another network',
    sets: [[{ subnet: prefix('10.3.0.0/24') }]],
    text: /network blue has 10\.2\.0\.0\/24/,
  },
  {
    what: 'two addresses of one family',
    sets: [[{ subnet: prefix('10.2.0.0/25') }], [{ subnet: prefix('10.2.0.128/25') }]],
    text: /two IPv4 addresses/,
  },
  {
    what: 'another gateway',
    sets: [[{ subnet: prefix('10.2.0.0/24'), gateway: ip('10.2.0.254') }]],
    text: /that of network blue in 10\.2\.0\.0\/24 is 10\.2\.0\.1/,
  },
  {
    what: 'a range that runs backwards',
    sets: [[{ subnet: prefix('10.2.0.0/24'), first: ip('10.2.0.9'), last: ip('10.2.0.8') }]],
    text: /there is none/,
  },
]) {
  test(`areasOf() refuses ${what}`, () => {
    assert.throws(() => areasOf(blue, sets), text)
  })
}
