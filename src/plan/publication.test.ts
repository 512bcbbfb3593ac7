import { expect, test } from 'bun:test'
import { DEFAULT_MARK_MASK } from '../hoststate/marks.ts'
import { printWanted } from '../hoststate/print.ts'
import type { Publication } from '../model/publication.ts'
import { ip } from '../net/testing.ts'
import { planPublication } from './publication.ts'

const both = ['10.80.0.2', 'fd80::2']
const here = { hostId: 'host1', index: 0, packetMarkMask: DEFAULT_MARK_MASK }

function publicationOf(change: Partial<Publication>): Publication {
  return {
    schema: 1,
    id: 'pub',
    networkId: 'net',
    hostId: 'host1',
    endpointId: 'ep',
    protocol: 'tcp',
    hostPort: 8080,
    containerPort: 80,
    count: 1,
    createdAt: '2026-01-01T00:00:00.000Z',
    ...change,
  }
}

function endpointOf(addresses: readonly string[], hostId = 'host1') {
  return { hostId, addresses: addresses.map(ip) }
}

/** The ports that are planned, as text. */
function planned(
  change: Partial<Publication>,
  addresses: readonly string[] = both,
  { internal = false, index = 0, host = 'host1' } = {},
): readonly string[] {
  const endpoint = endpointOf(addresses, host)
  return planPublication(publicationOf(change), endpoint, { internal }, { ...here, index })
    .filter(({ kind }) => kind !== 'socket-hooks')
    .map(printWanted)
}

for (const { what, plan, want } of [
  {
    what: 'on every address, in both families',
    plan: planned({}),
    want: [
      'port * 8080/tcp to 10.80.0.2 80',
      'port * 8080/tcp to fd80::2 80',
      'loopback port 4 * 8080/tcp to 10.80.0.2 80',
      'loopback port 6 * 8080/tcp to fd80::2 80',
    ],
  },
  {
    what: 'of a container with IPv4 only, which ::1 leads to as well',
    plan: planned({}, ['10.80.0.2']),
    want: [
      'port * 8080/tcp to 10.80.0.2 80',
      'loopback port 4 * 8080/tcp to 10.80.0.2 80',
      'loopback port 6 * 8080/tcp to 10.80.0.2 80',
    ],
  },
  {
    what: 'of a container with IPv6 only',
    plan: planned({}, ['fd80::2']),
    want: ['port * 8080/tcp to fd80::2 80', 'loopback port 6 * 8080/tcp to fd80::2 80'],
  },
  {
    what: 'on one address',
    plan: planned({ hostAddress: ip('192.0.2.1') }),
    want: ['port 192.0.2.1 8080/tcp to 10.80.0.2 80'],
  },
  {
    what: 'on one address of a family that the container lacks',
    plan: planned({ hostAddress: ip('2001:db8::1') }, ['10.80.0.2']),
    want: [],
  },
  {
    what: 'on every address of one family',
    plan: planned({ hostAddress: ip('0.0.0.0') }),
    want: ['port * 8080/tcp to 10.80.0.2 80', 'loopback port 4 * 8080/tcp to 10.80.0.2 80'],
  },
  {
    what: 'on a loopback address: for the host alone',
    plan: planned({ hostAddress: ip('127.0.0.1'), protocol: 'udp' }),
    want: ['loopback port 4 127.0.0.1 8080/udp to 10.80.0.2 80'],
  },
  {
    what: 'of sctp, for which there are no hooks',
    plan: planned({ protocol: 'sctp' }, ['10.80.0.2']),
    want: ['port * 8080/sctp to 10.80.0.2 80'],
  },
  {
    what: 'as a range, n-th to n-th',
    plan: planned({ count: 2, hostAddress: ip('192.0.2.1') }),
    want: ['port 192.0.2.1 8080/tcp to 10.80.0.2 80', 'port 192.0.2.1 8081/tcp to 10.80.0.2 81'],
  },
  {
    what: 'in a network with an index',
    plan: planned({}, ['10.80.0.2'], { index: 7 }).slice(0, 2),
    want: [
      'port * 8080/tcp to 10.80.0.2 80 index 7',
      'loopback port 4 * 8080/tcp to 10.80.0.2 80 mark 0x07000000',
    ],
  },
  { what: 'in a network without a way out', plan: planned({}, both, { internal: true }), want: [] },
  { what: 'of another host', plan: planned({ hostId: 'host2' }), want: [] },
  { what: 'of a container elsewhere', plan: planned({}, both, { host: 'host2' }), want: [] },
]) {
  test(`a port ${what}`, () => expect([...plan]).toEqual(want))
}

for (const { protocol, hostAddress, hooks } of [
  { protocol: 'tcp' as const, hostAddress: undefined, hooks: true },
  { protocol: 'udp' as const, hostAddress: ip('::1'), hooks: true },
  { protocol: 'tcp' as const, hostAddress: ip('192.0.2.1'), hooks: false },
  { protocol: 'sctp' as const, hostAddress: undefined, hooks: false },
]) {
  test(`a ${protocol} port on ${hostAddress ?? 'every address'} ${hooks ? 'asks' : 'does not ask'} for the hooks`, () => {
    const at = hostAddress === undefined ? {} : { hostAddress }
    const plan = planPublication(
      publicationOf({ protocol, ...at }),
      endpointOf(both),
      { internal: false },
      here,
    )
    expect(plan.some(({ kind }) => kind === 'socket-hooks')).toBe(hooks)
  })
}

test('a range of a thousand ports is a thousand things of each kind', () => {
  expect(planned({ count: 1_000, hostPort: 10_000, containerPort: 10_000 })).toHaveLength(4_000)
})
