import { expect, test } from 'bun:test'
import { ip } from '../net/testing.ts'
import { answerTo, type NameTable, reversedAddress } from './answer.ts'
import { RCODE, readQuery } from './message.ts'
import { askingPacket } from './testing.ts'

const table: NameTable = {
  addresses: (_asker, name) => {
    if (name === 'web') return { kind: 'known', values: [ip('10.80.0.2'), ip('fd80::2')] }
    if (name === 'many') {
      return { kind: 'known', values: [2, 3, 4, 5].map((i) => ip(`10.80.0.${i}`)) }
    }
    return name === 'gone.blue' ? { kind: 'unknown' } : { kind: 'foreign' }
  },
  names: (_asker, address) =>
    address === '10.80.0.2' || address === 'fd80::2'
      ? { kind: 'known', values: ['web.blue'] }
      : { kind: address.startsWith('10.80.') ? 'unknown' : 'foreign' },
}

function answer(name: string, type: Parameters<typeof askingPacket>[1], random = () => 0) {
  const read = readQuery(askingPacket(name, type))
  if (read?.kind !== 'query') throw new Error('no query')
  return answerTo(read.query, undefined, { table, domain: 'carrick', random })
}

const REVERSE6 = `${'2'.padEnd(28, '0').split('').join('.')}.0.8.d.f.ip6.arpa`

for (const { name, type, want } of [
  { name: 'web', type: 'A', want: 'NOERROR 10.80.0.2' },
  { name: 'WEB', type: 'AAAA', want: 'NOERROR fd80::2' },
  { name: 'web', type: 'TXT', want: 'NOERROR' },
  { name: 'many', type: 'AAAA', want: 'NOERROR' },
  { name: 'gone.blue', type: 'A', want: 'NXDOMAIN' },
  { name: 'gone.blue', type: 'AAAA', want: 'NXDOMAIN' },
  { name: 'Web.Carrick', type: 'A', want: 'NOERROR 10.80.0.2' },
  { name: 'carrick', type: 'A', want: 'NOERROR' },
  { name: 'www.example.org.carrick', type: 'A', want: 'NXDOMAIN' },
  { name: 'notcarrick', type: 'A', want: 'others' },
  { name: 'www.example.org', type: 'A', want: 'others' },
  { name: '2.0.80.10.in-addr.arpa', type: 'PTR', want: 'NOERROR web.blue' },
  { name: '2.0.80.10.IN-ADDR.ARPA', type: 'PTR', want: 'NOERROR web.blue' },
  { name: '2.0.80.10.in-addr.arpa', type: 'A', want: 'NOERROR' },
  { name: '3.0.80.10.in-addr.arpa', type: 'PTR', want: 'NXDOMAIN' },
  { name: '1.2.0.192.in-addr.arpa', type: 'PTR', want: 'others' },
  { name: '80.10.in-addr.arpa', type: 'PTR', want: 'others' },
  { name: REVERSE6, type: 'PTR', want: 'NOERROR web.blue' },
  { name: '', type: 'NS', want: 'others' },
] as const) {
  test(`${type} of "${name}" is ${want}`, () => {
    const said = answer(name, type)
    const word = Object.entries(RCODE).find(([, code]) => code === said?.rcode)?.[0]
    const data = said?.records.map((record) => record.data) ?? []
    expect(said === undefined ? 'others' : [word, ...data].join(' ')).toBe(want)
  })
}

test('of everything one kind of record is told', () => {
  const read = readQuery(askingPacket('web', 'A').map((byte, i) => (i === 18 ? 255 : byte)))
  if (read?.kind !== 'query') throw new Error('no query')
  expect(read.query.question.type).toBe('ANY')
  const said = answerTo(read.query, undefined, { table, domain: '', random: () => 0 })
  expect(said?.records).toEqual([{ type: 'A', data: ip('10.80.0.2') }])
})

test('several addresses come in every order', () => {
  const random = (() => {
    let i = 0
    return () => ((i++ * 7) % 24) / 24
  })()
  const first = Array.from({ length: 100 }, () => answer('many', 'A', random)?.records[0]?.data)
  expect(new Set(first).size).toBe(4)
})

for (const text of [
  '1.2.3.in-addr.arpa',
  '1.2.3.4.5.in-addr.arpa',
  '256.2.3.4.in-addr.arpa',
  'x.ip6.arpa',
  'in-addr.arpa',
  '',
]) {
  test(`"${text}" asks for no address`, () => expect(reversedAddress(text)).toBeUndefined())
}
