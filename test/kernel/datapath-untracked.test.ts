/** The programs tell whether the host's stack ever saw a packet of a container: who never did leaves nothing behind. */

import { expect, test } from 'bun:test'
import { type Context, DeviceIndexes } from '../../src/dataplane/context.ts'
import { forgettingFlows } from '../../src/dataplane/resources/endpoint-flows.ts'
import { deviceEntries, endpointEntries } from '../../src/dataplane/resources/tables.ts'
import type { StaleFlow } from '../../src/dataplane/stale-flows.ts'
import { gateways } from '../../src/hoststate/gateway-maps.ts'
import * as maps from '../../src/hoststate/maps.ts'
import type { DeviceEntry, EndpointEntry } from '../../src/hoststate/state.ts'
import { openFakeKernel } from '../../src/kernel/fake/fake-kernel.ts'
import * as fx from './datapath/fabric.ts'
import { frame, GATEWAY_DEVICE, Gateway, MARKS, of, SELF } from './datapath/gateway.ts'
import * as pk from './datapath/packet.ts'

const { A, B, C, OUTSIDE } = fx
const DEVICE = 'ckepa'
/** Test runs come in by the loopback device: here it is the container's, or the gateway's and this the container's. */
const ELSEWHERE = 4001

/** The container A, put by the resources of the dataplane. */
function scene(family: 4 | 6, ifindex: number) {
  const fabric = new Gateway(ifindex === fx.LO ? GATEWAY_DEVICE : fx.LO)
  const map = (name: string) => fabric.object.map(name)
  for (const { key } of map('devices').entries()) map('devices').delete(key)
  const address = of(family, A)
  const at = { kind: 'local', ifindex } as const
  map('endpoints').delete(maps.endpoints.keyOf({ vni: fx.VNI, address, mac: A.mac, at }))
  const devices = new DeviceIndexes(openFakeKernel())
  devices.set(DEVICE, ifindex)
  // The resources ask for no more of it.
  const context = { datapath: { map: ({ name }: { name: string }) => map(name) }, devices }
  const { datapath } = context as unknown as Context
  const stale: StaleFlow[] = []
  const held = deviceEntries(context as unknown as Context)
  const entries = endpointEntries(context as unknown as Context)
  const device: DeviceEntry = {
    ...{ kind: 'device', device: DEVICE, vni: fx.VNI, mac: A.mac, carrier: 'vxlan' },
    addresses: [A.ip4, A.ip6],
  }
  const endpoint: EndpointEntry = {
    ...{ kind: 'endpoint', vni: fx.VNI, address, mac: A.mac, at: { device: DEVICE } },
  }
  held.put(device)
  entries.put(endpoint)
  return {
    fabric,
    put: () => entries.put(endpoint),
    /** True when an audit finds both as wanted. */
    sound: () =>
      Array.from(held.list([device], false)).every((have) => held.equal(device, have)) &&
      Array.from(entries.list([endpoint], false)).every((have) => entries.equal(endpoint, have)),
    /** What is to be forgotten when the container leaves. */
    left() {
      forgettingFlows(entries, datapath, (flows) => stale.push(...flows)).remove(endpoint)
      return stale
    },
    [Symbol.dispose]: () => fabric[Symbol.dispose](),
  }
}

for (const family of [4, 6] as const) {
  const from = (destination: { ip4: typeof A.ip4; ip6: typeof A.ip6 }) =>
    frame(pk.udpPacket({ source: of(family, A), destination: of(family, destination) }))
  const flow = { kind: 'endpoint', address: of(family, A), index: 7 } as const

  for (const { what, destination, stale } of [
    { what: 'a neighbour', destination: B, stale: [] },
    { what: 'a container elsewhere', destination: C, stale: [] },
    { what: 'nobody', destination: fx.ABSENT, stale: [] },
    { what: 'the outside', destination: OUTSIDE, stale: [flow] },
    { what: 'the host', destination: SELF, stale: [flow] },
  ]) {
    test(`IPv${family}: who spoke to ${what} leaves ${stale.length} connections to be forgotten`, () => {
      using all = scene(family, fx.LO)
      all.fabric.run('from_container', { bytes: from(destination) })
      expect(all.sound()).toBe(true)
      expect(all.left()).toEqual(stale)
    })
  }

  test(`IPv${family}: who heard of the host's stack has connections, who did not has none`, () => {
    for (const heard of [false, true]) {
      using all = scene(family, ELSEWHERE)
      all.fabric.put(gateways, {
        ...{ ifindex: fx.LO, vni: fx.VNI, carrier: 'vxlan', mtuBytes: 1450 },
        around: fx.NETWORK.prefixes,
      })
      const packet = pk.tcpPacket({ source: of(family, OUTSIDE), destination: of(family, A) })
      const mark = heard ? MARKS.passed : 0
      all.fabric.run('to_network', { bytes: frame(packet, fx.FABRIC), mark })
      expect(all.sound()).toBe(true)
      // A test run comes in by a device: without the mark it is closed.
      expect(all.left()).toEqual(heard ? [flow] : [])
    }
  })

  test(`IPv${family}: of an entry that is written again nothing is known`, () => {
    using all = scene(family, fx.LO)
    all.put()
    expect(all.sound()).toBe(true)
    expect(all.left()).toEqual([flow])
  })
}
