import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { readDelegate, readEndpointShape } from './endpoint-shape.ts'

const WHOLE = {
  routes: [
    { to: '192.0.2.0/24', metric: 50, table: 100, mtuBytes: 1400, advmssBytes: 1360 },
    { to: '2001:db8::/32' },
  ],
  defaultRoute: false,
  mtuBytes: 1400,
  bandwidth: {
    toContainer: { bitsPerSecond: 8_000_000, burstBits: 800_000 },
    fromContainer: { bitsPerSecond: 16_000_000, burstBits: 1_600_000 },
  },
}

for (const { what, fields, want } of [
  { what: 'everything', fields: WHOLE, want: WHOLE },
  { what: 'nothing', fields: {}, want: {} },
  { what: 'a default route, which is the rule', fields: { defaultRoute: true }, want: {} },
  { what: 'a route to host bits', fields: { routes: [{ to: '192.0.2.1/24' }] }, want: {} },
  { what: 'a negative MTU', fields: { mtuBytes: -1 }, want: {} },
  {
    what: 'a limit without a burst, and a burst without a limit',
    fields: { bandwidth: { toContainer: { bitsPerSecond: 8 }, fromContainer: { burstBits: 8 } } },
    want: { bandwidth: { toContainer: { bitsPerSecond: 8 } } },
  },
] as const) {
  test(`readEndpointShape() of ${what}`, () => {
    assert.deepEqual(readEndpointShape(fields), want)
  })
}

test('readDelegate() gives back what is whole, and nothing else', () => {
  const whole = { type: 'host-local', path: ['/opt/cni/bin'], config: '{}', args: '' }
  assert.deepEqual(readDelegate(whole), whole)
  assert.equal(readDelegate(undefined), undefined)
  assert.equal(readDelegate({ ...whole, path: [1] }), undefined)
  assert.equal(readDelegate({ ...whole, args: undefined }), undefined)
})
