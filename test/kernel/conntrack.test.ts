/** Tracked connections as `conntrack -L` lists them: the same ones found, the same ones gone. */
import { afterAll, test } from 'bun:test'
import assert from 'node:assert/strict'
import type { Connection } from '../../src/kernel/conntrack/conntrack.ts'
import { IPPROTO } from '../../src/net/protocol.ts'
import { ip } from '../../src/net/testing.ts'
import { run, TestNamespaces } from './namespaces.ts'

const namespaces = new TestNamespaces()
afterAll(() => namespaces[Symbol.dispose]())

const TCP = '-s 192.0.2.1 -d 192.0.2.2 -p tcp --sport 4000 --dport 80 --state ESTABLISHED -t 600'
const DNAT =
  '-s 198.51.100.7 -d 192.0.2.2 -p udp --sport 5000 --dport 53 -t 600 ' +
  '--reply-src 10.80.0.2 --reply-dst 198.51.100.7 --reply-port-src 5353 --reply-port-dst 5000 -m 0x0100'
const IPV6 = '-s 2001:db8::1 -d 2001:db8::2 -p udp --sport 6000 --dport 53 -t 600'
const ZONED =
  '-s 192.0.2.1 -d 192.0.2.2 -p tcp --sport 4000 --dport 80 --state ESTABLISHED -t 600 -w 3'
const ZONED_ONE_WAY =
  '-s 192.0.2.1 -d 192.0.2.2 -p tcp --sport 4001 --dport 80 --state ESTABLISHED -t 600 --orig-zone 4'
const ECHO = '-s 192.0.2.1 -d 192.0.2.2 -p icmp --icmp-type 8 --icmp-code 0 --icmp-id 7 -t 600'

function filled(label: string) {
  const made = namespaces.make(label)
  for (const each of [TCP, DNAT, IPV6, ZONED, ZONED_ONE_WAY, ECHO]) {
    run(made.name, `conntrack -I ${each}`)
  }
  return made
}

/** What conntrack prints of both families, without how long each entry lives. */
function listed(name: string): string[] {
  return ['ipv4', 'ipv6'].flatMap((family) =>
    run(name, `conntrack -L -f ${family}`)
      .split('\n')
      .filter((line) => line !== ''),
  )
}

/** The connection as conntrack would name it. */
function shown({ protocol, original, zone }: Connection): string {
  const ports = original.sourcePort === undefined ? '' : ` ${original.sourcePort}`
  return `${protocol} ${original.source}${ports} > ${original.destination} ${zone}`
}

test('list() finds what conntrack -L finds', () => {
  const { name, view } = filled('c')
  assert.equal(view.conntrack.list().length, listed(name).length)
  assert.deepEqual(view.conntrack.list().map(shown).sort(), [
    '1 192.0.2.1 > 192.0.2.2 0',
    '17 198.51.100.7 5000 > 192.0.2.2 0',
    '17 2001:db8::1 6000 > 2001:db8::2 0',
    '6 192.0.2.1 4000 > 192.0.2.2 0',
    '6 192.0.2.1 4000 > 192.0.2.2 3',
    '6 192.0.2.1 4001 > 192.0.2.2 4',
  ])
})

test('a translated connection tells where its answers come from', () => {
  const { view } = filled('c')
  const [found, ...others] = view.conntrack.list({
    protocol: IPPROTO.udp,
    reply: { source: ip('10.80.0.2'), sourcePort: 5353 },
  })
  assert.equal(others.length, 0)
  assert.deepEqual(found?.original, {
    source: ip('198.51.100.7'),
    destination: ip('192.0.2.2'),
    sourcePort: 5000,
    destinationPort: 53,
  })
  assert.equal(found?.mark, 0x100)
})

for (const { what, filter, count } of [
  { what: 'family', filter: { family: 6 as const }, count: 1 },
  { what: 'protocol', filter: { protocol: IPPROTO.tcp }, count: 3 },
  { what: 'family and protocol', filter: { family: 4 as const, protocol: IPPROTO.udp }, count: 1 },
  { what: 'an address', filter: { original: { destination: ip('192.0.2.2') } }, count: 5 },
  { what: 'an IPv6 address', filter: { original: { source: ip('2001:db8::1') } }, count: 1 },
  { what: 'an IPv6 answerer', filter: { reply: { source: ip('2001:db8::2') } }, count: 1 },
  {
    what: 'a port',
    filter: { family: 4 as const, protocol: IPPROTO.udp, original: { destinationPort: 53 } },
    count: 1,
  },
  { what: 'a port of either family', filter: { original: { destinationPort: 53 } }, count: 2 },
  { what: 'a mark', filter: { mark: { value: 0x100, mask: 0xff00 } }, count: 1 },
  { what: 'no mark', filter: { mark: { value: 0, mask: 0xff00 } }, count: 5 },
  { what: 'a zone', filter: { zone: 3 }, count: 1 },
  { what: 'a zone of one direction', filter: { zone: 4 }, count: 1 },
]) {
  test(`list() by ${what} finds ${count}`, () => {
    const { view } = filled('c')
    assert.equal(view.conntrack.list(filter).length, count)
  })
}

test('remove() takes those and no others, and is content when they are gone', () => {
  const { name, view } = filled('c')
  const all = view.conntrack.list()
  for (const connection of all) {
    const before = listed(name).length
    view.conntrack.remove([connection])
    view.conntrack.remove([connection])
    assert.equal(listed(name).length, before - 1, shown(connection))
  }
  assert.deepEqual(view.conntrack.list(), [])
})
