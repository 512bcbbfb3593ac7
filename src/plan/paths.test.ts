import { expect, test } from 'bun:test'
import type { PathReport } from '../model/path.ts'
import { limitsOf, NO_LIMITS, sumsInSoftware } from './paths.ts'
import { planAll } from './plan.ts'
import { endpointOf, hostOf, networkOf, snapshotOf } from './testing.ts'

const self = hostOf(1, '192.0.2.1')
const near = hostOf(2, '192.0.2.2')
const far = hostOf(3, '198.51.100.3')
const hosts = [self, near, far]
const hostById = (id: string) => hosts.find((host) => host.id === id)

const report = (fields: Partial<PathReport> & Pick<PathReport, 'hostId'>): PathReport => ({
  carrier: 'vxlan',
  expectedBytes: 1500,
  mtuBytes: 1500,
  problems: [],
  probedAt: '2026-01-01T00:00:00.000Z',
  ...fields,
})

test('limitsOf() tells no limits of ways that are as they should be, or silent', () => {
  const reports = [report({ hostId: 'a' }), report({ hostId: 'b', problems: ['no-answer'] })]
  expect(limitsOf(reports)).toEqual(NO_LIMITS)
})

test('limitsOf() takes the narrowest of the ways to one host', () => {
  const limits = limitsOf([
    report({ hostId: 'a', mtuBytes: 1400, problems: ['smaller-path'] }),
    report({ hostId: 'a', carrier: 'direct', mtuBytes: 1380, problems: ['smaller-path'] }),
    report({ hostId: 'a', problems: ['checksums-corrupted'] }),
  ])
  expect([...limits]).toEqual([['a', { mtuBytes: 1380, softwareChecksums: true }]])
})

for (const { carrier, host, want } of [
  { carrier: 'vxlan', host: near, want: true },
  { carrier: 'vxlan', host: far, want: true },
  { carrier: 'auto', host: near, want: false }, // goes there without an outer header
  { carrier: 'auto', host: far, want: true },
  { carrier: 'direct', host: near, want: false },
  { carrier: 'local', host: near, want: false },
] as const) {
  const place = host === near ? 'the same segment' : 'another segment'
  test(`sumsInSoftware() of a ${carrier} network and a host on ${place} is ${want}`, () => {
    const limits = limitsOf([report({ hostId: host.id, problems: ['checksums-corrupted'] })])
    expect(sumsInSoftware({ carrier }, limits, self, hostById)).toBe(want)
  })
}

test('the plan keeps to what was found', () => {
  const blue = networkOf('blue', 100, ['10.80.0.0/16'], 'vxlan')
  const problems = ['smaller-path', 'checksums-corrupted'] as const
  const limits = limitsOf([report({ hostId: far.id, mtuBytes: 1400, problems })])
  const web = endpointOf('web', blue, self, ['10.80.0.2'])
  const state = planAll(snapshotOf(self, [blue], [web], hosts, limits))
  expect(state.get(`host/${far.id}`)).toMatchObject([{ kind: 'peer', mtuLimitBytes: 1400 }])
  expect(state.get(`host/${near.id}`)?.[0]).not.toHaveProperty('mtuLimitBytes')
  const inside = state.get(`endpoint/${web.id}`)?.find(({ kind }) => kind === 'interior')
  expect(inside).toMatchObject({ softwareChecksums: true })
})
