/** Store addresses as people write them. */

import { expect, test } from 'bun:test'
import { parseEtcdUrl } from './endpoints.ts'

for (const { text, want } of [
  { text: 'etcd://a:2379', want: ['http://a:2379'] },
  { text: 'etcd://a:2379,b:2380', want: ['http://a:2379', 'http://b:2380'] },
  { text: 'etcd://192.0.2.1', want: ['http://192.0.2.1:2379'] },
  { text: 'etcds://[2001:db8::1]:2379,b', want: ['https://[2001:db8::1]:2379', 'https://b:2379'] },
  { text: 'etcd://a:80', want: ['http://a:80'] }, // the scheme's own port is not lost
  { text: 'etcds://a:443/', want: ['https://a:443'] },
]) {
  test(`parseEtcdUrl() of "${text}"`, () => {
    expect(parseEtcdUrl(text)).toEqual({ tls: text.startsWith('etcds'), endpoints: want })
  })
}

for (const text of [
  '',
  'a:2379',
  'http://a',
  'etcd://',
  'etcd://a,,b',
  'etcd://a/x',
  'etcd://u@a',
]) {
  test(`parseEtcdUrl() refuses "${text}"`, () => {
    expect(() => parseEtcdUrl(text)).toThrow(`Cannot use the store address "${text}"`)
  })
}
