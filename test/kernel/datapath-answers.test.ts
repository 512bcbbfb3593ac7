/** What the container program answers itself: ARP, neighbour solicitations, echo to the gateway. */

import { afterAll, expect, test } from 'bun:test'
import { dropReason } from '../../src/hoststate/drops.ts'
import type { IP } from '../../src/net/ip.ts'
import { type Mac, macBytes } from '../../src/net/mac.ts'
import * as fx from './datapath/fabric.ts'
import * as pk from './datapath/packet.ts'

const fabric = new fx.Fabric()
afterAll(() => fabric[Symbol.dispose]())

const { A, B, C, FABRIC, GATEWAY, ABSENT, OUTSIDE } = fx
const BROADCAST = pk.mac('ff:ff:ff:ff:ff:ff')
const NOBODY = pk.mac('00:00:00:00:00:00')
const LINK_LOCAL = pk.ip('fe80::800:ff:fe00:a')
const send = (bytes: Uint8Array) => fabric.verdict('from_container', bytes)

interface Question {
  readonly sender?: IP
  readonly senderMac?: Mac
  readonly frameMac?: Mac
  readonly target?: IP
  readonly operation?: number
}

function arpFrame(question: Question): pk.Bytes {
  const { sender = A.ip4, senderMac = A.mac, frameMac = A.mac, target = B.ip4 } = question
  const body = pk.arp(
    question.operation ?? 1,
    { mac: senderMac, ip: sender },
    { mac: NOBODY, ip: target },
  )
  return pk.ether(BROADCAST, frameMac, pk.ETH.ARP, body)
}

for (const { what, target } of [
  { what: 'a neighbour', target: B.ip4 },
  { what: 'an endpoint elsewhere', target: C.ip4 },
  { what: 'the gateway', target: GATEWAY.ip4 },
  { what: 'an absent address', target: ABSENT.ip4 },
]) {
  test(`ARP for ${what} gets the fabric's MAC`, () => {
    const { verdict, bytes } = fabric.run('from_container', { bytes: arpFrame({ target }) })
    expect(verdict).toBe(fx.VERDICT.REDIRECT)
    const want = pk.arp(2, { mac: FABRIC, ip: target }, { mac: A.mac, ip: A.ip4 })
    expect(bytes).toEqual(pk.ether(A.mac, FABRIC, pk.ETH.ARP, want))
  })
}

for (const { what, target } of [
  { what: 'a link-local address', target: pk.ip('169.254.7.7') },
  { what: 'the resolver', target: fx.RESOLVER.ip4 },
]) {
  test(`ARP for ${what} is answered, for containers that take it for a neighbour`, () => {
    expect(send(arpFrame({ target }))).toBe('redirected')
  })
}

for (const { what, question, want } of [
  { what: 'its own address', question: { target: A.ip4 }, want: 'ignored' },
  { what: 'its own second address', question: { target: A.second4 }, want: 'ignored' },
  { what: 'an address outside', question: { target: OUTSIDE.ip4 }, want: 'no-route' },
  { what: 'duplicates (no sender)', question: { sender: pk.ip('0.0.0.0') }, want: 'ignored' },
  { what: 'a foreign sender', question: { sender: B.ip4 }, want: 'spoofed' },
  { what: 'the gateway as sender', question: { sender: GATEWAY.ip4 }, want: 'spoofed' },
  { what: 'a foreign MAC inside', question: { senderMac: B.mac }, want: 'spoofed' },
  { what: 'a foreign MAC outside', question: { frameMac: B.mac }, want: 'spoofed' },
  { what: 'nothing: a reply', question: { operation: 2 }, want: 'ignored' },
]) {
  test(`ARP with ${what} is not answered`, () => expect(send(arpFrame(question))).toBe(want))
}

interface Solicitation {
  readonly source?: IP
  readonly target?: IP
  readonly option?: Mac | undefined
  readonly type?: 135 | 136
}

function ndFrame(asked: Solicitation): pk.Bytes {
  const { source = A.ip6, target = B.ip6, type = 135 } = asked
  const option = 'option' in asked ? asked.option : A.mac
  const message = pk.neighbourMessage(type, source, pk.ip('ff02::1:ff00:20'), target, option)
  return pk.ether(pk.mac('33:33:ff:00:00:20'), A.mac, pk.ETH.IPV6, message)
}

for (const { what, asked, flags } of [
  { what: 'a neighbour', asked: {}, flags: 0x60 },
  { what: 'an endpoint elsewhere', asked: { target: C.ip6 }, flags: 0x60 },
  { what: 'the gateway, a router', asked: { target: GATEWAY.ip6 }, flags: 0xe0 },
  { what: 'an absent address', asked: { target: ABSENT.ip6 }, flags: 0x60 },
  { what: 'a neighbour, from a link-local address', asked: { source: LINK_LOCAL }, flags: 0x60 },
  { what: 'a neighbour, without the option', asked: { option: undefined }, flags: 0x60 },
] as const) {
  test(`a solicitation for ${what} gets the fabric's MAC`, () => {
    const { verdict, bytes } = fabric.run('from_container', { bytes: ndFrame(asked) })
    expect(verdict).toBe(fx.VERDICT.REDIRECT)
    const frame = pk.readFrame(bytes)
    expect(frame).toMatchObject({ to: A.mac, from: FABRIC, type: pk.ETH.IPV6 })
    const answer = pk.readIP(frame.payload)
    const target = 'target' in asked ? asked.target : B.ip6
    const destination = 'source' in asked ? asked.source : A.ip6
    expect(answer).toMatchObject({ source: target, destination, hops: 255, protocol: 58 })
    expect(pk.icmpSumRight(answer)).toBe(true)
    expect([...answer.payload.slice(0, 2)]).toEqual([136, 0])
    expect(answer.payload[4]).toBe(flags)
    expect(answer.payload.slice(24)).toEqual(pk.concat(Uint8Array.of(2, 1), macBytes(FABRIC)))
  })
}

for (const { what, asked, want } of [
  { what: 'its own address', asked: { target: A.ip6 }, want: 'ignored' },
  { what: 'its own second address', asked: { target: A.second6 }, want: 'ignored' },
  { what: 'duplicates (no source)', asked: { source: pk.ip('::') }, want: 'ignored' },
  { what: 'a link-local target', asked: { target: pk.ip('fe80::1') }, want: 'ignored' },
  { what: 'an address outside', asked: { target: OUTSIDE.ip6 }, want: 'no-route' },
  { what: 'a foreign source', asked: { source: B.ip6 }, want: 'spoofed' },
  { what: 'a foreign MAC in the option', asked: { option: B.mac }, want: 'spoofed' },
  { what: 'an advertisement of its own', asked: { type: 136, target: A.ip6 }, want: 'ignored' },
  { what: 'an advertisement of another', asked: { type: 136, target: B.ip6 }, want: 'spoofed' },
  {
    what: "an advertisement of the gateway's",
    asked: { type: 136, target: GATEWAY.ip6 },
    want: 'spoofed',
  },
] as const) {
  test(`a neighbour message for ${what} is not answered`, () => {
    expect(send(ndFrame(asked))).toBe(want)
  })
}

test('a unicast solicitation, as for a probe, is answered too', () => {
  const message = pk.neighbourMessage(135, A.ip6, B.ip6, B.ip6, A.mac)
  expect(send(pk.ether(FABRIC, A.mac, pk.ETH.IPV6, message))).toBe('redirected')
})

test('a solicitation that crossed a router is malformed', () => {
  const frame = ndFrame({})
  frame[21] = 254
  expect(send(frame)).toBe('malformed')
})

for (const { what, type } of [
  { what: 'router solicitations', type: 133 },
  { what: 'router advertisements', type: 134 },
  { what: 'redirects', type: 137 },
  { what: 'listener reports', type: 143 },
]) {
  test(`${what} are ignored`, () => {
    const message = pk.icmpPacket(
      { source: LINK_LOCAL, destination: pk.ip('ff02::2'), hops: 255 },
      type,
      0,
      new Uint8Array(36),
    )
    expect(send(pk.ether(pk.mac('33:33:00:00:00:02'), A.mac, pk.ETH.IPV6, message))).toBe('ignored')
  })
}

test('link-local talk is ignored, a link-local source elsewhere is spoofed', () => {
  const frame = (destination: IP) =>
    pk.ether(FABRIC, A.mac, pk.ETH.IPV6, pk.udpPacket({ source: LINK_LOCAL, destination }))
  expect(send(frame(pk.ip('fe80::1')))).toBe('ignored')
  expect(send(frame(B.ip6))).toBe('spoofed')
})

test('who was given link-local addresses talks by them, to neighbours and by VXLAN to other hosts', () => {
  using own = new fx.Fabric()
  own.putDevice('auto')
  const [here, there] = [
    { kind: 'local', ifindex: fx.LO },
    { kind: 'remote', host: 1 },
  ] as const
  const [a4, a6] = [pk.ip('169.254.7.7'), pk.ip('fe80::7:7')]
  const [c4, c6] = [pk.ip('169.254.7.9'), pk.ip('fe80::7:9')]
  for (const address of [a4, a6]) own.endpoint(address, A.mac, here)
  for (const address of [c4, c6]) own.endpoint(address, C.mac, there)
  const ask = pk.arp(1, { mac: A.mac, ip: a4 }, { mac: NOBODY, ip: c4 })
  const frame = pk.ether(BROADCAST, A.mac, pk.ETH.ARP, ask)
  expect(own.verdict('from_container', frame)).toBe('redirected')
  expect(own.verdict('from_container', ndFrame({ source: a6, target: c6 }))).toBe('redirected')
  expect(own.verdict('from_container', ndFrame({ source: a6, target: a6 }))).toBe('ignored')
  for (const [source, destination, type] of [
    [a4, c4, pk.ETH.IPV4],
    [a6, c6, pk.ETH.IPV6],
  ] as const) {
    const bytes = pk.ether(FABRIC, A.mac, type, pk.udpPacket({ source, destination }))
    const sent = own.run('from_container', { bytes })
    expect(sent.verdict).toBe(fx.VERDICT.REDIRECT)
    expect(sent.bytes.length).toBeGreaterThan(bytes.length) // encapsulated, though the host is on the link
    const forged = pk.ether(FABRIC, A.mac, type, pk.udpPacket({ source: destination, destination }))
    expect(own.verdict('from_container', forged)).toMatch(/spoofed|ignored/)
    const outside = type === pk.ETH.IPV4 ? OUTSIDE.ip4 : OUTSIDE.ip6
    const away = pk.ether(FABRIC, A.mac, type, pk.udpPacket({ source, destination: outside }))
    expect(own.verdict('from_container', away)).toBe('no-route, answered')
  }
})

for (const { family, source, gateway, type, reply } of [
  { family: 4, source: A.ip4, gateway: GATEWAY.ip4, type: 8, reply: 0 },
  { family: 6, source: A.ip6, gateway: GATEWAY.ip6, type: 128, reply: 129 },
]) {
  const request = (payload: Uint8Array) =>
    pk.ether(
      FABRIC,
      A.mac,
      family === 4 ? pk.ETH.IPV4 : pk.ETH.IPV6,
      pk.icmpPacket({ source, destination: gateway }, type, 0, payload),
    )

  test(`IPv${family}: the gateway answers echo`, () => {
    const payload = Uint8Array.from({ length: 61 }, (_, i) => 255 - i)
    const { verdict, bytes } = fabric.run('from_container', { bytes: request(payload) })
    expect(verdict).toBe(fx.VERDICT.REDIRECT)
    const frame = pk.readFrame(bytes)
    expect(frame).toMatchObject({ to: A.mac, from: FABRIC })
    const answer = pk.readIP(frame.payload)
    expect(answer).toMatchObject({ source: gateway, destination: source })
    expect(pk.icmpSumRight(answer)).toBe(true)
    expect(answer.payload[0]).toBe(reply)
    expect(answer.payload.slice(4)).toEqual(payload)
  })

  test(`IPv${family}: the gateway answers nothing else, and says so`, () => {
    const udp = pk.udpPacket({ source, destination: gateway })
    const type = family === 4 ? pk.ETH.IPV4 : pk.ETH.IPV6
    expect(send(pk.ether(FABRIC, A.mac, type, udp))).toBe('no-route, answered')
  })
}

test('a sample of every drop names network, device, addresses and ports', () => {
  using fabric = new fx.Fabric()
  const udp = pk.udpPacket({ source: B.ip4, destination: C.ip4 })
  fabric.run('from_container', { bytes: pk.ether(FABRIC, A.mac, pk.ETH.IPV4, udp) })
  const [event] = fabric.events()
  expect(event).toMatchObject({
    vni: fx.VNI,
    ifindex: fx.LO,
    length: udp.length + 14,
    ethertype: pk.ETH.IPV4,
    protocol: pk.PROTO.UDP,
    source: B.ip4,
    destination: C.ip4,
    sourcePort: 40000,
    destinationPort: 53,
  })
  expect(dropReason(event?.reason ?? 0)).toBe('spoofed')
})

test('samples are rationed', () => {
  using fabric = new fx.Fabric()
  const frame = arpFrame({ sender: B.ip4 })
  for (let i = 0; i < 200; i++) fabric.run('from_container', { bytes: frame })
  expect(fabric.events().length).toBeLessThan(100)
})
