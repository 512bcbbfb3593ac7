import { expect, test } from 'bun:test'
import type { Carrier } from '../../model/network.ts'
import { hostOf } from '../../plan/testing.ts'
import { targetsOf } from './targets.ts'

const self = hostOf(1, '192.0.2.1', '2001:db8::1')
const near = hostOf(2, '192.0.2.2')
const far = hostOf(3, '2001:db8:9::3')

const probed = (...carriers: readonly Carrier[]): readonly string[] =>
  targetsOf(
    self,
    [self, near, far],
    carriers.map((carrier) => ({ carrier })),
  ).map(
    ({ hostId, carrier, local, remote, overheadBytes }) =>
      `${hostId} ${carrier} ${local} > ${remote} +${overheadBytes}`,
  )

const PROBES = 'fd3b:ca44:1c00::'
const NEAR_VXLAN = `host2 vxlan ${PROBES}1 > ${PROBES}2 +50`
const NEAR_DIRECT = 'host2 direct 192.0.2.1 > 192.0.2.2 +0'
const FAR_VXLAN = `host3 vxlan ${PROBES}1 > ${PROBES}3 +70`

for (const { carriers, want } of [
  { carriers: [], want: [] },
  { carriers: ['local'], want: [] },
  { carriers: ['direct'], want: [NEAR_DIRECT] }, // a router would not know the network
  { carriers: ['vxlan'], want: [NEAR_VXLAN, FAR_VXLAN] },
  { carriers: ['auto'], want: [NEAR_DIRECT, FAR_VXLAN] },
  { carriers: ['auto', 'vxlan'], want: [NEAR_DIRECT, NEAR_VXLAN, FAR_VXLAN] },
] as const) {
  test(`targetsOf() networks of ${carriers.join(' and ') || 'no kind'}`, () => {
    expect(probed(...carriers)).toEqual(want)
  })
}

test('targetsOf() while a carrier changes has the ways of both', () => {
  const changing = { carrier: 'vxlan', alsoAccepts: 'direct' } as const
  const carriers = targetsOf(self, [near], [changing]).map(({ carrier }) => carrier)
  expect(carriers).toEqual(['direct', 'vxlan'])
})

test('targetsOf() expects what both ends take', () => {
  const small = { ...near, underlay: near.underlay.map((each) => ({ ...each, mtuBytes: 1400 })) }
  const [target] = targetsOf(self, [small], [{ carrier: 'vxlan' }])
  expect(target?.expectedBytes).toBe(1400)
})
