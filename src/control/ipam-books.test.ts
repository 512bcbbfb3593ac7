import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { endpointKey, keys } from '../model/keys.ts'
import { ip, prefix } from '../net/testing.ts'
import { block, claim, host, network, published } from '../store/replica/fixtures.ts'
import type { KeyValue } from '../store/store.ts'
import { ipamKeys } from './ipam/ipam-keys.ts'
import { audit, type FindingKind } from './ipam-books.ts'

type Row = readonly [key: string, value: unknown, lease?: string]

const blocks = (hostId: string, text: string, networkId = 'n'): Row => [
  keys.block(networkId, prefix(text)),
  block(networkId, hostId, text),
]
const claims = (hostId: string, text: string, networkId = 'n'): Row => [
  keys.address(networkId, ip(text)),
  claim(networkId, hostId, text),
]
const endpoint = (hostId: string, n: number, networkId = 'n'): Row => {
  const record = published(networkId, hostId, n)
  return [endpointKey(record), record]
}
const request = (hostId: string, lease: string, networkId = 'n'): Row => [
  ipamKeys.blockRequest(networkId, hostId),
  { schema: 1, networkId, hostId },
  lease,
]
const reservation = (address: string, networkId = 'n'): Row => [
  keys.reservation(networkId, 'web'),
  { schema: 1, networkId, name: 'web', addresses: [address], createdAt: '' },
]

/** Two hosts and one network with its name: nothing is wrong with it. */
const SOUND: readonly Row[] = [
  [keys.host('a'), host('a')],
  [keys.host('b'), host('b')],
  [keys.network('n'), network('n')],
  [keys.networkName('net-n'), 'n'],
  // 10.80.0.9 and fd80::109
  endpoint('a', 9),
  blocks('a', '10.80.0.0/26'),
  blocks('a', 'fd80::/64'),
]

function findings(...rows: readonly Row[]) {
  const items = [...SOUND, ...rows].map(
    ([key, value, lease = '0'], i): KeyValue => ({
      key,
      value: typeof value === 'string' ? value : JSON.stringify(value),
      createRevision: i + 1,
      modRevision: i + 1,
      version: 1,
      lease,
    }),
  )
  return audit({ items, alive: new Set(['a']) })
}

test('audit() of sound books finds nothing', () => {
  assert.deepEqual(findings(), [])
  assert.deepEqual(
    findings(claims('b', '10.80.0.11'), endpoint('b', 11), blocks('b', 'fd80:0:0:1::/64')).map(
      ({ kind }) => kind,
    ),
    ['endpoint-uncovered'],
  )
})

const rows: readonly {
  readonly why: string
  readonly rows: readonly Row[]
  readonly kind: FindingKind
  readonly repairs: boolean
  readonly message: RegExp
}[] = [
  {
    why: 'a claim of a host that lives and no endpoint',
    rows: [claims('a', '10.80.9.9')],
    kind: 'claim-without-endpoint',
    repairs: true,
    message: /^address 10\.80\.9\.9 of network net-n is claimed by host host-a for no endpoint$/,
  },
  {
    why: 'a claim of a host that is away: it may know of an endpoint',
    rows: [claims('b', '10.80.9.9')],
    kind: 'claim-without-endpoint',
    repairs: false,
    message: /host-b/,
  },
  {
    why: 'a block of a removed host',
    rows: [blocks('gone', '10.80.1.0/26')],
    kind: 'owner-removed',
    repairs: true,
    message: /block 10\.80\.1\.0\/26 of network net-n belongs to host gone, which was removed/,
  },
  {
    why: 'a block of a removed network',
    rows: [blocks('a', '10.80.1.0/26', 'm')],
    kind: 'network-removed',
    repairs: true,
    message: /network m, which was removed/,
  },
  {
    why: 'a claim of a removed network',
    rows: [claims('a', '10.80.1.1', 'm')],
    kind: 'network-removed',
    repairs: true,
    message: /address 10\.80\.1\.1/,
  },
  {
    why: 'a reservation of a removed network',
    rows: [reservation('10.80.1.1', 'm')],
    kind: 'network-removed',
    repairs: true,
    message: /reservation for web/,
  },
  {
    why: 'a reservation outside its network',
    rows: [reservation('10.99.1.1')],
    kind: 'reservation-outside',
    repairs: false,
    message: /10\.99\.1\.1, which network net-n does not have/,
  },
  {
    why: 'an address with two owners',
    rows: [
      [
        keys.endpoint('n', 'a', 'twin'),
        { ...published('n', 'a', 9), id: 'twin', addresses: ['10.80.0.9'] },
      ],
    ],
    kind: 'address-twice',
    repairs: false,
    message: /10\.80\.0\.9 of network net-n belongs to endpoints web-9 on host host-a and web-9/,
  },
  {
    why: "an endpoint that has a host's own address",
    rows: [
      [
        keys.endpoint('n', 'a', 'old'),
        { ...published('n', 'a', 9), id: 'old', name: 'old', addresses: ['10.80.0.63'] },
      ],
    ],
    kind: 'host-address-taken',
    repairs: false,
    message:
      /endpoint old on host host-a has 10\.80\.0\.63 of network net-n, the own address of host host-a/,
  },
  {
    why: 'blocks of two hosts that overlap',
    rows: [blocks('b', '10.80.0.32/27')],
    kind: 'blocks-overlap',
    repairs: false,
    message: /block 10\.80\.0\.32\/27 of host host-b overlaps 10\.80\.0\.0\/26 of host host-a/,
  },
  {
    why: 'a request without lease',
    rows: [request('b', '0')],
    kind: 'request-left',
    repairs: true,
    message: /hangs on no lease/,
  },
  {
    why: 'a request of a removed host',
    rows: [request('gone', '7')],
    kind: 'request-left',
    repairs: true,
    message: /host gone was removed/,
  },
  {
    why: 'a name without network',
    rows: [[keys.networkName('old'), 'gone']],
    kind: 'name-without-network',
    repairs: true,
    message: /name old stands for network gone/,
  },
  {
    why: 'a second name of a network',
    rows: [[keys.networkName('old'), 'n']],
    kind: 'name-without-network',
    repairs: true,
    message: /whose name is net-n/,
  },
  {
    why: 'a network without name',
    rows: [[keys.network('m'), network('m')]],
    kind: 'network-without-name',
    repairs: true,
    message: /network m is called net-m/,
  },
  {
    why: 'a recovery that waits for a host',
    rows: [
      [ipamKeys.restoreOpen, 'now'],
      [ipamKeys.restoreDone('a'), 'now'],
    ],
    kind: 'recovery-open',
    repairs: false,
    message: /yet: host-b$/,
  },
]
for (const { why, rows: more, kind, repairs, message } of rows) {
  test(`audit() finds ${why}: ${kind}`, () => {
    const [found, ...others] = findings(...more)
    assert.deepEqual(others, [])
    assert.equal(found?.kind, kind)
    assert.match(found?.message ?? '', message)
    assert.equal(found?.repair !== undefined, repairs)
    assert.equal(found?.advice === undefined, repairs)
  })
}

test('audit() finds an endpoint that no block or claim of its host covers', () => {
  const uncovered = findings(endpoint('b', 7))
  assert.deepEqual(
    uncovered.map(({ kind, message }) => [kind, /has (\S+) of/.exec(message)?.[1]]),
    [
      ['endpoint-uncovered', '10.80.0.7'],
      ['endpoint-uncovered', 'fd80::107'],
    ],
  )
})
