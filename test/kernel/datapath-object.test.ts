/** The compiled object: equal to its sources, loaded, sized, pinned, taken over, refused with reasons. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TRAFFIC_MAP, TRAFFIC_PATHS } from '../../src/hoststate/drops.ts'
import { gateways } from '../../src/hoststate/gateway-maps.ts'
import { hostNetns, loopbackPorts } from '../../src/hoststate/hook-maps.ts'
import * as maps from '../../src/hoststate/maps.ts'
import { openLibbpf } from '../../src/kernel/bpf/libbpf.ts'
import { openPinnedMap } from '../../src/kernel/bpf/map.ts'
import { BpfObject } from '../../src/kernel/bpf/object.ts'
import { RingReader } from '../../src/kernel/bpf/ring.ts'
import { isNetworkError } from '../../src/lib/errors.ts'
import { type IP, ipFromNumber } from '../../src/net/ip.ts'
import { macForAddress } from '../../src/net/mac.ts'
import { OBJECT } from './datapath/fabric.ts'
import { HOOKS_OBJECT } from './datapath/hooked.ts'
import { run } from './datapath/wire.ts'

const bpf = openLibbpf()
const image = readFileSync(OBJECT)
const hooks = readFileSync(HOOKS_OBJECT)

function remote(i: number): maps.EndpointEntry {
  const address: IP = ipFromNumber(0x0a000000n + BigInt(i), 4)
  return { vni: 7, address, mac: macForAddress(7, address), at: { kind: 'remote', host: i % 100 } }
}

function raw<Entry>(layout: maps.MapLayout<Entry>, entry: Entry) {
  return { key: layout.keyOf(entry), value: layout.valueOf(entry) }
}

test('compiling the sources again gives the checked-in objects, wherever they lie', () => {
  const work = mkdtempSync(join(tmpdir(), 'ckt-bpf-'))
  try {
    const sources = new URL('../../bpf', import.meta.url).pathname
    run(`cp -r ${sources} ${work}/elsewhere && ${work}/elsewhere/build ${work}`)
    expect(Buffer.compare(readFileSync(join(work, 'carrick.bpf.o')), image)).toBe(0)
    expect(Buffer.compare(readFileSync(join(work, 'hooks.bpf.o')), hooks)).toBe(0)
    const closing = readFileSync(new URL('../../bpf/closing.bpf.o', import.meta.url))
    expect(Buffer.compare(readFileSync(join(work, 'closing.bpf.o')), closing)).toBe(0)
  } finally {
    rmSync(work, { recursive: true })
  }
}, 60_000)

test('the objects name no place of the machine they were compiled on', () => {
  for (const object of [image, hooks]) {
    expect(object.toString('latin1')).not.toMatch(/\/(home|root|work|tmp|usr)\//)
  }
})

describe('maps', () => {
  test('names and sizes are those that user space believes in', () => {
    using object = BpfObject.load(bpf, image)
    for (const layout of [
      maps.endpoints,
      maps.devices,
      maps.networks,
      maps.hosts,
      maps.directPrefixes,
      maps.config,
      gateways,
    ]) {
      expect(object.map(layout.name).shape).toMatchObject({
        name: layout.name,
        keyBytes: layout.key.size,
        valueBytes: layout.value.size,
        maxEntries: layout.maxEntries,
      })
    }
    using socketHooks = BpfObject.load(bpf, hooks)
    for (const layout of [hostNetns, loopbackPorts]) {
      expect(socketHooks.map(layout.name).shape).toMatchObject({
        keyBytes: layout.key.size,
        valueBytes: layout.value.size,
        maxEntries: layout.maxEntries,
      })
    }
    expect(object.map(TRAFFIC_MAP.name).shape.maxEntries).toBe(Object.keys(TRAFFIC_PATHS).length)
  })

  test('many entries are written, read, counted and deleted', () => {
    using object = BpfObject.load(bpf, image)
    const map = object.map('endpoints')
    const entries = Array.from({ length: 10_000 }, (_, i) => remote(i + 1))
    map.updateMany(entries.map((entry) => raw(maps.endpoints, entry)))
    const have = [...map.entries()].map(({ key, value }) => maps.endpoints.entryOf(key, value))
    const byAddress = (a?: maps.EndpointEntry, b?: maps.EndpointEntry) =>
      (a?.address ?? '').localeCompare(b?.address ?? '')
    expect(have.toSorted(byAddress)).toEqual(entries.toSorted(byAddress))
    for (const entry of entries) expect(map.delete(maps.endpoints.keyOf(entry))).toBe(true)
    expect(map.delete(maps.endpoints.keyOf(remote(1)))).toBe(false)
    expect([...map.entries()]).toEqual([])
  })

  test('tries and arrays are listed too', () => {
    using object = BpfObject.load(bpf, image, { maxEntries: { hosts: 5000 } })
    expect([...object.map('hosts').entries()].length).toBe(5000)
    const prefixes = Array.from({ length: 300 }, (_, i) => remote(i * 256).address).map(
      (address, i): maps.DirectPrefixEntry => ({
        prefix: `${address}/24` as maps.DirectPrefixEntry['prefix'], // 256 apart: host bits are zero
        vni: i,
      }),
    )
    const map = object.map('direct_prefixes')
    map.updateMany(prefixes.map((entry) => raw(maps.directPrefixes, entry)))
    const have = [...map.entries()].map((e) => maps.directPrefixes.entryOf(e.key, e.value)?.vni)
    expect(have.toSorted((a = 0, b = 0) => a - b)).toEqual(prefixes.map(({ vni }) => vni))
  })

  test('a full map says so', () => {
    using object = BpfObject.load(bpf, image, { maxEntries: { endpoints: 10 } })
    const map = object.map('endpoints')
    const fill = () => {
      for (let i = 1; i < 200; i++) {
        const { key, value } = raw(maps.endpoints, remote(i))
        map.update(key, value)
      }
    }
    expect(codeOf(fill)).toBe('exhausted')
    const all = Array.from({ length: 200 }, (_, i) => raw(maps.endpoints, remote(i + 1)))
    expect(codeOf(() => map.updateMany(all))).toBe('exhausted')
  })

  test('an empty ring gives nothing and does not wait', () => {
    using object = BpfObject.load(bpf, image)
    using ring = new RingReader(bpf, object.map('events'))
    expect(ring.take()).toEqual([])
  })
})

describe('pins', () => {
  const mount = `${tmpdir()}/cktbpf${process.pid}`
  const pins = { pinDirectory: `${mount}/carrick/v1` }
  beforeAll(() => {
    mkdirSync(mount)
    run(`mount -t bpf bpf ${mount}`)
  })
  afterAll(() => {
    run(`umount ${mount}`)
    rmSync(mount, { recursive: true })
  })

  test('what one load wrote, the next one finds', () => {
    const { key, value } = raw(maps.endpoints, remote(5))
    {
      using first = BpfObject.load(bpf, image, pins)
      first.map('endpoints').update(key, value)
      first.pinProgram('from_container', `${pins.pinDirectory}/from_container`)
      first.pinProgram('from_container', `${pins.pinDirectory}/from_container`)
    }
    using second = BpfObject.load(bpf, image, pins)
    expect(second.map('endpoints').lookup(key)).toEqual(value)
    expect(existsSync(`${pins.pinDirectory}/from_container`)).toBe(true)
    using pinned = openPinnedMap(bpf, `${pins.pinDirectory}/endpoints`)
    expect(pinned?.map.shape).toEqual(second.map('endpoints').shape)
    expect(pinned?.map.lookup(key)).toEqual(value)
    expect(openPinnedMap(bpf, `${pins.pinDirectory}/absent`)).toBeUndefined()
  })

  test('a pinned map of another shape is a conflict', () => {
    using first = BpfObject.load(bpf, image, pins)
    const other = { ...pins, maxEntries: { endpoints: 99 } }
    expect(codeOf(() => BpfObject.load(bpf, image, other))).toBe('conflict')
    expect(first.map('endpoints').shape.maxEntries).toBe(maps.endpoints.maxEntries)
  })
})

test('rubbish is refused', () => {
  expect(codeOf(() => BpfObject.load(bpf, new Uint8Array(1000)))).toBe('kernel')
})

test("a refused program comes with the verifier's words", () => {
  // Turns the first instruction of the programs into a read of a register that nothing has set.
  const broken = Buffer.from(image)
  const entry = sectionOf(broken, 'tc')
  broken.set([0xbf, 0x90, 0, 0, 0, 0, 0, 0], entry)
  try {
    BpfObject.load(bpf, broken)[Symbol.dispose]()
    throw new Error('loaded')
  } catch (error) {
    if (!isNetworkError(error)) throw error
    expect(error.message).toContain('R9 !read_ok')
    expect(String(error.details['log'])).toContain('R9 !read_ok')
  }
})

test('a helper that the kernel does not have is unsupported', () => {
  const broken = Buffer.from(image)
  const entry = sectionOf(broken, 'tc')
  broken.set([0x85, 0, 0, 0, 0x0f, 0x27, 0, 0], entry) // call helper 9999
  expect(codeOf(() => BpfObject.load(bpf, broken))).toBe('unsupported')
})

function sectionOf(object: Buffer, name: string): number {
  const table = Number(object.readBigUInt64LE(40))
  const place = (i: number) => Number(object.readBigUInt64LE(table + i * 64 + 24))
  const names = place(object.readUInt16LE(62))
  for (let i = 0; i < object.readUInt16LE(60); i++) {
    const at = names + object.readUInt32LE(table + i * 64)
    if (object.subarray(at, object.indexOf(0, at)).toString() === name) return place(i)
  }
  throw new Error(`no section ${name}`)
}

function codeOf(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    if (isNetworkError(error)) return error.code
    throw error
  }
  return 'no error'
}
