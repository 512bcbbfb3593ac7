import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  ENDPOINT_OPTIONS,
  interfacePrefix,
  NETWORK_OPTIONS,
  POOL_OPTIONS,
  readEndpointOptions,
  readNetworkOptions,
  readPoolOptions,
} from './options.ts'

const DOCUMENT = join(import.meta.dirname, '../../../docs/docker-options.md')

const TABLES = [NETWORK_OPTIONS, ENDPOINT_OPTIONS, POOL_OPTIONS]
for (const [key, sentence] of TABLES.flatMap((table) => Object.entries(table))) {
  test(`${key} is documented: ${sentence}`, () => {
    expect(readFileSync(DOCUMENT, 'utf8')).toContain(`| \`${key}\` | ${sentence} |`)
  })
}

test('options of a network', () => {
  expect(
    readNetworkOptions({
      'carrick.carrier': 'vxlan',
      'com.docker.network.driver.mtu': '1400',
      'com.docker.network.bridge.enable_ip_masquerade': 'false',
      'carrick.open': 'metadata,host-loopback',
      'carrick.force': '1',
    }),
  ).toEqual({
    network: undefined,
    name: undefined,
    carrier: 'vxlan',
    mtuBytes: 1400,
    masquerade: false,
    open: ['metadata', 'host-loopback'],
    force: true,
  })
  expect(interfacePrefix({})).toBe('eth')
  expect(interfacePrefix({ 'com.docker.network.container_iface_prefix': 'net' })).toBe('net')
})

test('options of an endpoint', () => {
  expect(readEndpointOptions({ 'carrick.name': 'web', 'carrick.label.tier': 'front' })).toEqual({
    name: 'web',
    labels: { tier: 'front' },
  })
})

test('options of a pool', () => {
  expect(readPoolOptions({ 'carrick.size': '24' })).toEqual({ network: undefined, length: 24 })
})

for (const { what, read, says } of [
  {
    what: 'several at once',
    read: () => readNetworkOptions({ 'carrick.mtu': 'big', 'carrick.carrier': 'x', vni: '7' }),
    says: ['-o carrick.mtu=big: a number from 68', '-o carrick.carrier=x: choose', '-o vni is not'],
  },
  {
    what: 'one of Docker’s bridge',
    read: () => readNetworkOptions({ 'com.docker.network.bridge.enable_ip_masquerad': 'true' }),
    says: ['did you mean com.docker.network.bridge.enable_ip_masquerade?'],
  },
  {
    what: 'the end of one that is known',
    read: () => readNetworkOptions({ mtu: '1400' }),
    says: ['-o mtu is not known: did you mean carrick.mtu?'],
  },
  {
    what: 'names of JavaScript’s own',
    read: () => readNetworkOptions({ toString: 'x', valueOf: 'y' }),
    says: ['toString is not known', 'valueOf is not known'],
  },
  {
    what: 'a name that is none',
    read: () => readNetworkOptions({ 'carrick.name': 'Blue_1' }),
    says: ['lower-case letters'],
  },
  {
    what: 'a prefix that would make too long a name',
    read: () => readNetworkOptions({ 'com.docker.network.container_iface_prefix': 'interface12' }),
    says: ['at most 10'],
  },
  {
    what: 'an empty opening',
    read: () => readNetworkOptions({ 'carrick.open': 'metadata,' }),
    says: ['choose among metadata'],
  },
  {
    what: 'a reserved label',
    read: () => readEndpointOptions({ 'carrick.label.carrick/docker-endpoint': 'x' }),
    says: ['reserved'],
  },
  {
    what: 'an option of a network for an endpoint',
    read: () => readEndpointOptions({ 'carrick.mtu': '1400' }),
    says: ['--driver-opt carrick.mtu is not known'],
  },
]) {
  test(`refused: ${what}`, () => {
    for (const words of says) expect(read).toThrow(words)
  })
}
