import { expect, test } from 'bun:test'
import * as dnsPacket from 'dns-packet'
import fc from 'fast-check'
import { ip } from '../net/testing.ts'
import { answerTo, plainAnswer } from './answer.ts'
import { type Answer, questionBytes, RCODE, readQuery, writeAnswer } from './message.ts'
import { askingPacket } from './testing.ts'

function queryOf(packet: Uint8Array) {
  const read = readQuery(packet)
  if (read?.kind !== 'query') throw new Error('no query')
  return read.query
}

function decode(bytes: Uint8Array) {
  return dnsPacket.decode(Buffer.from(bytes))
}

function answerOf(count: number): Answer {
  const records = Array.from({ length: count }, (_, i) => ({
    type: 'A' as const,
    data: ip(`10.80.0.${i}`),
  }))
  return { rcode: RCODE.NOERROR, records, ttlSeconds: 5, authoritative: true }
}

test('a question is read and answered under its number and name', () => {
  const query = queryOf(askingPacket('Web.Blue', 'A', { id: 0xbeef }))
  expect(query).toMatchObject({
    id: 0xbeef,
    recursionDesired: true,
    question: { name: 'Web.Blue', type: 'A', class: 'IN' },
    edns: undefined,
    udpBytes: 512,
  })
  const answer = decode(writeAnswer(query, answerOf(1), 512))
  expect(answer).toMatchObject({ id: 0xbeef, type: 'response', flag_aa: true, flag_ra: true })
  expect(answer.answers).toMatchObject([{ name: 'Web.Blue', type: 'A', ttl: 5, data: '10.80.0.0' }])
  expect(answer.additionals).toEqual([])
})

for (const { asked, want } of [
  { asked: 0, want: 512 },
  { asked: 512, want: 512 },
  { asked: 1000, want: 1000 },
  { asked: 4096, want: 1232 },
]) {
  test(`who takes ${asked} bytes gets ${want} at most, and is told of more`, () => {
    const query = queryOf(askingPacket('web', 'A', { payload: asked }))
    expect(query.udpBytes).toBe(want)
    const fits = decode(writeAnswer(query, answerOf(10), query.udpBytes))
    expect([fits.flag_tc, fits.answers?.length]).toEqual([false, 10])
    expect(fits.additionals?.length).toBe(asked === 0 ? 0 : 1)
    const cut = writeAnswer(query, answerOf(200), query.udpBytes)
    expect(cut.length).toBeLessThanOrEqual(want)
    expect([decode(cut).flag_tc, decode(cut).answers?.length]).toEqual([true, 0])
    expect(decode(writeAnswer(query, answerOf(200), 65_535)).answers?.length).toBe(200)
  })
}

test('a later version of EDNS is told which one is spoken', () => {
  const query = queryOf(askingPacket('web', 'A', { payload: 1232, version: 1 }))
  const answer = answerTo(query, undefined, {
    table: { addresses: () => ({ kind: 'foreign' }), names: () => ({ kind: 'foreign' }) },
    domain: '',
    random: () => 0,
  })
  expect(answer?.rcode).toBe(RCODE.BADVERS)
  const written = decode(writeAnswer(query, answer ?? plainAnswer(RCODE.NOERROR), 512))
  expect(written.additionals).toMatchObject([{ type: 'OPT', extendedRcode: 1, ednsVersion: 0 }])
})

for (const { what, change, want } of [
  { what: 'less than a header', change: (b: Buffer) => b.subarray(0, 11), want: undefined },
  { what: 'an answer', change: (b: Buffer) => set(b, 2, 0x80), want: undefined },
  { what: 'another operation', change: (b: Buffer) => set(b, 2, 0x28), want: RCODE.NOTIMP },
  { what: 'no question', change: (b: Buffer) => set(b, 5, 0), want: RCODE.FORMERR },
  {
    what: 'a question that is not there',
    change: (b: Buffer) => set(b, 5, 2),
    want: RCODE.FORMERR,
  },
  { what: 'a name without end', change: (b: Buffer) => b.subarray(0, 14), want: RCODE.FORMERR },
  {
    what: 'a name that points to itself',
    change: (b: Buffer) => set(set(b, 12, 0xc0), 13, 12),
    want: RCODE.FORMERR,
  },
  { what: 'a letter that is none', change: (b: Buffer) => set(b, 13, 0xff), want: RCODE.FORMERR },
]) {
  test(`${what} is ${want === undefined ? 'left alone' : `told as ${want}`}`, () => {
    const read = readQuery(change(Buffer.from(askingPacket('web', 'A'))))
    if (want === undefined) expect(read).toBeUndefined()
    else if (read?.kind !== 'reply') throw new Error('no reply')
    else expect([read.bytes.length, (read.bytes[3] ?? 0) & 15]).toEqual([12, want])
  })
}

test('whatever bytes come, nothing breaks', () => {
  const random = fc.uint8Array({ maxLength: 600 })
  // Close to a real one: a packet with some bytes overwritten, cut or grown.
  const close = fc
    .tuple(
      fc.constantFrom('web', 'web.blue', 'a.b.c.d.example.org', ''),
      fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 6 }),
      fc.nat(90),
      fc.uint8Array({ maxLength: 40 }),
    )
    .map(([name, changes, cut, more]) => {
      const bytes = Buffer.concat([askingPacket(name, 'A', { payload: 1232 }), more])
      for (const [i, value] of changes) if (i < bytes.length) bytes[i] = value
      return new Uint8Array(bytes.subarray(0, Math.max(0, bytes.length - cut)))
    })
  fc.assert(
    fc.property(fc.oneof(random, close), (bytes) => {
      questionBytes(bytes)
      const read = readQuery(bytes)
      if (read?.kind !== 'query') return
      const written = writeAnswer(read.query, answerOf(3), read.query.udpBytes)
      expect(written.length).toBeLessThanOrEqual(read.query.udpBytes)
      expect(decode(written).id).toBe(read.query.id)
    }),
    { numRuns: 5_000 },
  )
})

function set(bytes: Buffer, at: number, value: number): Buffer {
  bytes[at] = value
  return bytes
}
