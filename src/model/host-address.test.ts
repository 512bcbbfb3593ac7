import { expect, test } from 'bun:test'
import { ip, prefix } from '../net/testing.ts'
import { hostAddressIn } from './host-address.ts'

for (const { name, block, whole, gateway, want } of [
  { name: 'the last one', block: '10.80.0.0/22', want: '10.80.3.255' },
  { name: 'not the broadcast address', block: '10.80.252.0/22', want: '10.80.255.254' },
  {
    name: 'not the gateway',
    block: '10.80.252.0/22',
    gateway: '10.80.255.254',
    want: '10.80.255.253',
  },
  { name: 'none of a block of four', block: '10.80.0.4/30', want: undefined },
  { name: 'one of a block of eight', block: '10.80.0.8/29', want: '10.80.0.15' },
  {
    name: 'the last one of IPv6',
    block: 'fd80:0:0:ffff::/64',
    whole: 'fd80::/48',
    gateway: 'fd80::1',
    want: 'fd80::ffff:ffff:ffff:ffff:ffff',
  },
]) {
  test(`a host's own address: ${name}`, () => {
    const [prefixText, gatewayText] = [whole ?? '10.80.0.0/16', gateway ?? '10.80.0.1']
    const found = hostAddressIn(prefix(block), prefix(prefixText), ip(gatewayText))
    expect(found).toBe(want === undefined ? undefined : ip(want))
  })
}
