import { expect, test } from 'bun:test'
import { ip, mac } from '../net/testing.ts'
import { ENGINE_LABELS } from './engine-network.ts'
import { linkLocalsOf, parseLinkLocal, reachedAt } from './link-local.ts'

test('only link-local addresses are taken, and none that mean something already', () => {
  for (const text of ['169.254.7.7', 'fe80::7:7', 'febf::1'])
    expect(parseLinkLocal(text)).toBe(ip(text))
  const others = [
    '169.254.169.254',
    '169.254.77.53',
    '10.0.0.1',
    'fec0::1',
    'fd00::1',
    '::',
    'x',
    '',
  ]
  for (const text of others) expect(parseLinkLocal(text)).toBe(undefined)
})

test('an endpoint is reached at what it was given, and at what its kernel makes of its MAC', () => {
  const of = (text: string) => ({
    addresses: [ip('10.9.0.2')],
    mac: mac('0a:58:00:00:00:02'),
    labels: text === '' ? {} : { [ENGINE_LABELS.linkLocal]: text },
  })
  expect(reachedAt(of(''))).toEqual([ip('10.9.0.2')])
  expect(reachedAt(of('169.254.7.7,10.9.0.9,169.254.7.7'))).toEqual([
    ip('10.9.0.2'),
    ip('169.254.7.7'),
  ])
  expect(reachedAt(of('fe80::7'))).toEqual([
    ip('10.9.0.2'),
    ip('fe80::7'),
    ip('fe80::858:ff:fe00:2'),
  ])
  expect(linkLocalsOf(of('169.254.7.7,fe80::7'))).toEqual([ip('169.254.7.7'), ip('fe80::7')])
})
