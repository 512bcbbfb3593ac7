import { expect, test } from 'bun:test'
import type { PortForward } from '../hoststate/ports.ts'
import type { Connection } from '../kernel/conntrack/conntrack.ts'
import { openFakeKernel } from '../kernel/fake/fake-kernel.ts'
import { familyOf } from '../net/ip.ts'
import { IPPROTO } from '../net/protocol.ts'
import { ip } from '../net/testing.ts'
import { forgetFlows, type StaleFlow } from './stale-flows.ts'

/** A datagram's connection from a client to a port, answered by another address and port. */
function flow(to: string, port: number, by: string, byPort: number, mark = 0): Connection {
  const [source, destination, answerer] = [ip('198.51.100.7'), ip(to), ip(by)]
  return {
    family: familyOf(destination),
    protocol: IPPROTO.udp,
    original: { source, destination, sourcePort: 4000, destinationPort: port },
    reply: { source: answerer, destination: source, sourcePort: byPort, destinationPort: 4000 },
    mark,
    zone: 0,
    id: 1,
    name: new Uint8Array(0),
  }
}

const published: PortForward = {
  kind: 'publication',
  protocol: 'udp',
  hostPort: 5353,
  address: ip('10.80.0.2'),
  containerPort: 53,
  index: 0,
}

const toHost = flow('192.0.2.1', 5353, '192.0.2.1', 5353)
const toContainer = flow('192.0.2.1', 5353, '10.80.0.2', 53)
const byOtherAddress = flow('192.0.2.9', 5353, '10.80.0.2', 53)
const byOtherPort = flow('192.0.2.1', 5354, '10.80.0.2', 53)
const straight = flow('10.80.0.2', 5353, '10.80.0.2', 5353)
const elsewhere = flow('203.0.113.9', 5353, '203.0.113.9', 5353)
const equalAddress = flow('192.0.2.1', 99, '10.80.0.2', 99, 0x0007_0000)
const all = [
  ...[toHost, toContainer, byOtherAddress, byOtherPort],
  ...[straight, elsewhere, equalAddress],
]

for (const { what, stale, gone } of [
  { what: 'nothing', stale: [], gone: [] },
  {
    what: 'what came by a publication on every address',
    stale: [{ kind: 'forwarded', port: published }],
    gone: [toContainer, byOtherAddress],
  },
  {
    what: 'what came by a publication on one address',
    stale: [{ kind: 'forwarded', port: { ...published, hostAddress: ip('192.0.2.9') } }],
    gone: [byOtherAddress],
  },
  {
    what: 'what bypasses a port of the host, and what is forwarded to another machine not',
    stale: [{ kind: 'bypassing', port: published }],
    gone: [toHost],
  },
  {
    what: 'what bypasses a port on another address of the host',
    stale: [{ kind: 'bypassing', port: { ...published, hostAddress: ip('192.0.2.9') } }],
    gone: [],
  },
  {
    what: 'what a container takes along, by the index of its network',
    stale: [{ kind: 'endpoint', address: ip('10.80.0.2'), index: 7 }],
    gone: [equalAddress],
  },
] satisfies readonly {
  what: string
  stale: readonly StaleFlow[]
  gone: readonly Connection[]
}[]) {
  test(`forgotten is ${what}`, () => {
    using kernel = openFakeKernel()
    for (const address of ['192.0.2.1', '192.0.2.9']) {
      kernel.addresses.put({ device: 1, address, prefixLength: 24 })
    }
    for (const connection of all) kernel.track(connection)
    kernel.sysctl.write(['net', 'netfilter', 'nf_conntrack_count'], `${all.length}`)
    expect(forgetFlows(kernel, stale)).toBe(gone.length)
    expect(kernel.conntrack.list()).toEqual(all.filter((each) => !gone.includes(each)))
  })
}
