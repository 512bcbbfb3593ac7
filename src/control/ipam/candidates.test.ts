import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { ip, prefix } from '../../net/testing.ts'
import { freeAddresses, freeBlocks, looseAddresses, type Terrain } from './candidates.ts'

function terrain(fields: Partial<Terrain> = {}): Terrain {
  const gateway = ip('10.9.0.1')
  return { prefix: prefix('10.9.0.0/24'), gateway, blocks: [], claims: [], ...fields }
}
const text = (items: Iterable<string>): readonly string[] => [...items]

for (const { why, fields, want } of [
  {
    why: 'an empty prefix begins at its far end',
    fields: {},
    want: ['10.9.0.248/29', '10.9.0.240/29'],
  },
  {
    why: 'claimed blocks and claimed addresses are passed over',
    fields: { blocks: [prefix('10.9.0.248/29')], claims: [ip('10.9.0.241')] },
    want: ['10.9.0.232/29', '10.9.0.224/29'],
  },
  {
    why: 'blocks of another length count as well',
    fields: { blocks: [prefix('10.9.0.128/25'), prefix('10.9.0.126/32')] },
    want: ['10.9.0.112/29', '10.9.0.104/29'],
  },
  {
    why: 'other prefixes do not matter',
    fields: { blocks: [prefix('10.8.0.0/16')], claims: [ip('fd80::1')] },
    want: ['10.9.0.248/29', '10.9.0.240/29'],
  },
  {
    why: 'only those of an area, when one is given',
    fields: { area: prefix('10.9.0.64/27'), blocks: [prefix('10.9.0.88/29')] },
    want: ['10.9.0.80/29', '10.9.0.72/29'],
  },
  {
    why: 'an area smaller than a block has none',
    fields: { area: prefix('10.9.0.64/30') },
    want: [],
  },
  {
    why: 'a block of reserved addresses is none',
    fields: { prefix: prefix('192.0.2.0/30'), gateway: ip('192.0.2.1') },
    want: ['192.0.2.2/32'],
  },
]) {
  test(`free blocks: ${why}`, () => {
    assert.deepEqual(text(freeBlocks(terrain(fields), 2)), want)
  })
}

test('loose addresses lie beside single claims, outside every block', () => {
  const land = terrain({
    blocks: [prefix('10.9.0.240/29')],
    claims: [ip('10.9.0.250'), ip('10.9.0.241')],
  })
  const isFree = (address: string): boolean => address !== '10.9.0.254'
  assert.deepEqual(text(looseAddresses(land, isFree, 3)), [
    '10.9.0.253',
    '10.9.0.252',
    '10.9.0.251',
  ])
})

test('loose addresses of an area smaller than a block are all of it, beside no claim', () => {
  const land = terrain({ area: prefix('10.9.0.64/30'), claims: [ip('10.9.0.66'), ip('10.9.0.70')] })
  const want = ['10.9.0.67', '10.9.0.65', '10.9.0.64']
  assert.deepEqual(text(looseAddresses(land, () => true, 9)), want)
  const owned = { ...land, blocks: [prefix('10.9.0.64/29')] }
  assert.deepEqual(text(looseAddresses(owned, () => true, 9)), [])
})

test('loose addresses of an area lie in it', () => {
  const claims = [ip('10.9.0.66'), ip('10.9.0.130')]
  const land = terrain({ area: prefix('10.9.0.64/27'), claims })
  assert.deepEqual(text(looseAddresses(land, () => true, 2)), ['10.9.0.71', '10.9.0.70'])
})

test('free addresses leave out what is reserved', () => {
  const found = freeAddresses(prefix('10.9.0.0/30'), terrain(), () => true)
  assert.deepEqual(text(found), ['10.9.0.3', '10.9.0.2'])
})
