import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { ip } from '../net/testing.ts'
import { reachText } from './reach.ts'

const both = ['10.80.0.9', 'fd80::9']

for (const { address, addresses, elsewhere, internal, want } of [
  { addresses: both, want: 'any machine' },
  { addresses: ['10.80.0.9'], want: 'any machine, only over IPv4' },
  { addresses: ['fd80::9'], want: 'any machine, only over IPv6' },
  { addresses: both, elsewhere: 'h2', want: 'any machine' },
  { address: '0.0.0.0', addresses: both, want: 'any machine, only over IPv4' },
  { address: '::', addresses: both, want: 'any machine, only over IPv6' },
  { address: '127.0.0.1', addresses: both, want: 'this host only' },
  { address: '127.9.9.9', addresses: both, want: 'this host only' },
  { address: '::1', addresses: both, elsewhere: 'h2', want: 'host h2 only' },
  { address: '192.0.2.5', addresses: both, want: 'machines that reach 192.0.2.5' },
  { address: '2001:db8::5', addresses: both, want: 'machines that reach [2001:db8::5]' },
  { address: 'fe80::5', addresses: both, want: 'machines on the link of [fe80::5]' },
  {
    address: '2001:db8::5',
    addresses: ['10.80.0.9'],
    want: 'nobody: the endpoint has no such address',
  },
  { addresses: both, internal: true, want: 'nobody: the network is internal' },
  { addresses: [], want: 'nobody: the endpoint is gone' },
]) {
  test(`a port of ${address ?? 'every address'} is reached by: ${want}`, () => {
    const hostAddress = address === undefined ? undefined : ip(address)
    const options = { hostAddress, addresses: addresses.map(ip), elsewhere }
    assert.equal(reachText({ ...options, internal: internal === true }), want)
  })
}
