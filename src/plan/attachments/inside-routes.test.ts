import { test } from 'bun:test'
import assert from 'node:assert/strict'
import type { Endpoint } from '../../model/endpoint.ts'
import { ip, prefix } from '../../net/testing.ts'
import { endpointOf, hostOf, networkOf } from '../testing.ts'
import { insideRoutes } from './inside-routes.ts'

const blue = networkOf('blue', 1, ['10.2.0.0/24', 'fd02::/64'], 'vxlan')
const web = endpointOf('web', blue, hostOf(1, '192.0.2.1'), ['10.2.0.7', 'fd02::7'])
const served = blue.prefixes.map((each, i) => ({
  prefix: each,
  gateway: blue.gateways[i] ?? ip('::'),
}))

for (const { what, change = {}, internal = false, want } of [
  {
    what: 'a plain endpoint',
    want: [
      '10.2.0.0/24 via 10.2.0.1',
      '0.0.0.0/0 via 10.2.0.1',
      'fd02::/64 via fd02::1',
      '::/0 via fd02::1',
    ],
  },
  {
    what: 'a second one in its sandbox',
    change: { order: 1 },
    want: [
      '10.2.0.0/24 via 10.2.0.1 metric 100',
      '0.0.0.0/0 via 10.2.0.1 metric 100',
      'fd02::/64 via fd02::1 metric 1124',
      '::/0 via fd02::1 metric 1124',
    ],
  },
  {
    what: 'one of an internal network',
    internal: true,
    want: ['10.2.0.0/24 via 10.2.0.1', '169.254.77.53/32 via 10.2.0.1', 'fd02::/64 via fd02::1'],
  },
  {
    what: 'one without default route and with routes of its own',
    change: {
      defaultRoute: false,
      routes: [
        { to: prefix('192.0.2.0/24'), metric: 7, mtuBytes: 1400 },
        { to: prefix('2001:db8::/32'), table: 100 },
      ],
    },
    want: [
      '10.2.0.0/24 via 10.2.0.1',
      '169.254.77.53/32 via 10.2.0.1',
      '192.0.2.0/24 via 10.2.0.1 metric 7 mtuBytes 1400',
      'fd02::/64 via fd02::1',
      '2001:db8::/32 via fd02::1 table 100',
    ],
  },
  {
    what: 'one whose default route has an MTU',
    change: { order: 1, routes: [{ to: prefix('0.0.0.0/0'), mtuBytes: 1400 }] },
    want: [
      '10.2.0.0/24 via 10.2.0.1 metric 100',
      '0.0.0.0/0 via 10.2.0.1 metric 100 mtuBytes 1400',
      'fd02::/64 via fd02::1 metric 1124',
      '::/0 via fd02::1 metric 1124',
    ],
  },
] satisfies readonly {
  what: string
  change?: Partial<Endpoint>
  internal?: boolean
  want: string[]
}[]) {
  test(`insideRoutes() of ${what}`, () => {
    const routes = insideRoutes({ ...web, ...change }, { ...blue, internal }, served, [
      ip('169.254.77.53'),
    ])
    const lines = routes.map(({ to, ...rest }) =>
      [to, ...Object.entries(rest).map(([key, value]) => `${key} ${value}`)].join(' '),
    )
    assert.deepEqual(lines, want)
  })
}
