/** What a daemon's start does with the pins of an earlier one, of its own schema and of an older. */

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { openDatapath } from '../../src/dataplane/datapath.ts'
import { MAPS_SCHEMA, networks } from '../../src/hoststate/maps.ts'
import { NETWORK } from './datapath/fabric.ts'
import { run } from './datapath/wire.ts'

const mount = `${tmpdir()}/cktopen${process.pid}`
const directory = `${mount}/carrick`
beforeAll(() => {
  mkdirSync(mount)
  run(`mount -t bpf bpf ${mount}`)
})
afterAll(() => {
  run(`umount ${mount}`)
  rmSync(mount, { recursive: true })
})

test('maps are found again, and pins of an older schema are removed', () => {
  mkdirSync(`${directory}/v${MAPS_SCHEMA - 1}/sub`, { recursive: true })
  mkdirSync(`${directory}/other`)
  {
    using datapath = openDatapath(directory)
    expect(datapath.warnings).toEqual([])
    datapath.map(networks).update(networks.keyOf(NETWORK), networks.valueOf(NETWORK))
  }
  expect(readdirSync(directory).sort()).toEqual(['other', `v${MAPS_SCHEMA}`])
  using datapath = openDatapath(directory)
  expect(datapath.map(networks).lookup(networks.keyOf(NETWORK))).toEqual(networks.valueOf(NETWORK))
})
