import { test } from 'bun:test'
import assert from 'node:assert/strict'
import type { PublishedEndpoint } from '../src/model/endpoint.ts'
import { parseKey } from '../src/model/keys.ts'
import type { Network } from '../src/model/network.ts'
import { type IP, parseIP } from '../src/net/ip.ts'
import { type Prefix, parsePrefix, prefixContains } from '../src/net/prefix.ts'
import { endpointRecord, recordsOfHost } from './remote-records.ts'

const network: Network = {
  schema: 1,
  id: 'n1',
  name: 'bench',
  vni: 7,
  prefixes: [prefix('10.96.0.0/12'), prefix('fd96::/48')],
  gateways: [address('10.96.0.1'), address('fd96::1')],
  carrier: 'vxlan',
  internal: false,
  masquerade: true,
  open: [],
  labels: {},
  createdAt: '2026-01-01T00:00:00.000Z',
}

test('recordsOfHost() makes one host, its blocks, and endpoints that share no address', () => {
  const records = Array.from({ length: 80 }, (_, index) =>
    recordsOfHost(network, index, 250),
  ).flat()
  const kinds = new Map<string, number>()
  const addresses = new Set<IP>(network.gateways)
  for (const { key, value } of records) {
    const parsed = parseKey(key)
    assert.ok(parsed !== undefined, key)
    kinds.set(parsed.kind, (kinds.get(parsed.kind) ?? 0) + 1)
    if (parsed.kind !== 'endpoint') continue
    const endpoint = JSON.parse(value) as PublishedEndpoint
    assert.equal(endpoint.hostId, parsed.hostId)
    assert.equal(endpoint.addresses.length, 2)
    for (const [family, ip] of endpoint.addresses.entries()) {
      assert.ok(!addresses.has(ip), ip)
      addresses.add(ip)
      assert.ok(prefixContains(network.prefixes[family] as Prefix, ip), ip) // two of each
    }
  }
  assert.deepEqual(Object.fromEntries(kinds), { host: 80, block: 160, endpoint: 20_000 })
})

test('endpointRecord() of another generation has the same key and another MAC', () => {
  const [old, young] = [endpointRecord(network, 3, 4, 0), endpointRecord(network, 3, 4, 1)]
  assert.equal(old.key, young.key)
  const mac = ({ value }: { value: string }) => (JSON.parse(value) as PublishedEndpoint).mac
  assert.notEqual(mac(old), mac(young))
})

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text)
  assert.ok(parsed !== undefined)
  return parsed
}

function address(text: string): IP {
  const parsed = parseIP(text)
  assert.ok(parsed !== undefined)
  return parsed
}
