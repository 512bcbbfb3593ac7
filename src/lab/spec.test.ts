import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { isNetworkError } from '../lib/errors.ts'
import { type LabRequest, planLab } from './spec.ts'

test('planLab() numbers hosts and puts them on one dual-stack segment', () => {
  const lab = planLab({ name: 'demo', hosts: 3 })
  assert.deepEqual(
    lab.hosts.map(({ name, underlay }) => [
      name,
      ...underlay.map((of) => `${of.ip}/${of.prefixLength}`),
    ]),
    [
      ['h1', '192.0.2.1/24', '2001:db8::1/64'],
      ['h2', '192.0.2.2/24', '2001:db8::2/64'],
      ['h3', '192.0.2.3/24', '2001:db8::3/64'],
    ],
  )
})

test('planLab() makes the switch the gateway of a shared segment, and none of a pair', () => {
  const gateways = (topology: 'bridge' | 'pair') =>
    planLab({ name: 'demo', hosts: 2, topology }).hosts[0]?.underlay.map(({ gateway }) => gateway)
  assert.deepEqual(gateways('bridge'), ['192.0.2.254', '2001:db8::fe'])
  assert.deepEqual(gateways('pair'), [undefined, undefined])
})

test('planLab() gives each host of a routed lab a subnet and a gateway of its own', () => {
  const lab = planLab({ name: 'demo', hosts: ['a', 'b'], topology: 'routed', hopMtuBytes: 1400 })
  assert.deepEqual(
    lab.hosts.map(({ underlay }) =>
      underlay.map((of) => `${of.ip}/${of.prefixLength} via ${of.gateway}`),
    ),
    [
      ['192.0.2.2/28 via 192.0.2.1', '2001:db8:1::2/64 via 2001:db8:1::1'],
      ['192.0.2.18/28 via 192.0.2.17', '2001:db8:2::2/64 via 2001:db8:2::1'],
    ],
  )
})

const refused: readonly (LabRequest & { readonly why: string })[] = [
  { why: 'a name that would leave the directory', name: '../x', hosts: 2 },
  { why: 'no host', name: 'x', hosts: 0 },
  { why: 'more hosts than subnets', name: 'x', hosts: 17 },
  { why: 'half a host', name: 'x', hosts: 1.5 },
  { why: 'two hosts of one name', name: 'x', hosts: ['a', 'a'] },
  { why: 'a host named like the switch', name: 'x', hosts: ['switch'] },
  { why: 'a host name too long for a link', name: 'x', hosts: ['abcdefghijklm'] },
  { why: 'a pair of three', name: 'x', hosts: 3, topology: 'pair' },
  { why: 'a small hop without a router', name: 'x', hosts: 2, hopMtuBytes: 1400 },
  { why: 'an MTU too small for IPv6', name: 'x', hosts: 2, mtuBytes: 1000 },
  { why: 'a hop wider than the wire', name: 'x', hosts: 2, topology: 'routed', hopMtuBytes: 9000 },
]
for (const { why, ...request } of refused) {
  test(`planLab() refuses ${why}`, () => {
    assert.throws(
      () => planLab(request),
      (error) => isNetworkError(error, 'invalid'),
    )
  })
}
