/** The programs on uplinks and gateways that are held by links: they stand, come again, and go with what they are for. */

import { expect, test } from 'bun:test'
import { existsSync, readdirSync } from 'node:fs'
import { Scene, until } from './gateway/scene.ts'
import { blocksOf, blue, red, twin, twins } from './gateway/twins.ts'

/** The link pinned under this name, and its program. */
function linkAt(scene: Scene, name: string): { id: number; program: string } {
  const path = `${scene.pins}/devices/${name}`
  const { id, prog_id } = JSON.parse(scene.host.run(`bpftool -j link show pinned ${path}`))
  const program = JSON.parse(scene.host.run(`bpftool -j prog show id ${prog_id}`))
  return { id, program: `${program.name} ${prog_id}` }
}

function numberOf(scene: Scene, device: string): number {
  return JSON.parse(scene.host.run(`ip -j link show dev ${device}`))[0].ifindex
}

test('an uplink has its program by a link and no hook of tc; what takes it away is put right', async () => {
  await using scene = new Scene()
  await twins(scene)
  const name = `ingress-${numberOf(scene, 'eth0')}`
  const before = linkAt(scene, name)
  expect(before.program).toStartWith('from_underlay ')
  expect(scene.host.run('tc qdisc show dev eth0')).not.toContain('clsact')

  // Whoever hears of something else may compare the programs first.
  scene.host.run(`rm ${scene.pins}/devices/${name}`)
  expect((await scene.audit(['program'])).failures).toEqual([])
  const after = linkAt(scene, name)
  expect(after.program).toBe(before.program)
  expect(after.id).not.toBe(before.id)
  expect(await scene.audit(['program'])).toEqual({ repaired: {}, failures: [] })
}, 60_000)

test('a gateway gets a link when it has stood for a while, and leaves none behind', async () => {
  await using scene = new Scene()
  await twins(scene)
  const name = `egress-${numberOf(scene, 'ckg101')}`
  await until('the gateway has its link', () => existsSync(`${scene.pins}/devices/${name}`))
  expect(linkAt(scene, name).program).toStartWith('to_network ')
  // From the first packet on it had the shared block's program, which stays.
  expect(scene.host.run('tc qdisc show dev ckg101')).toContain('egress_block')

  scene.containers.length = 0
  await scene.update([])
  const left = readdirSync(`${scene.pins}/devices`).filter((pin) => pin.startsWith('egress-'))
  expect(left).toEqual([])
}, 60_000)

test('the links of an earlier run stay, and get the programs of this one', async () => {
  await using scene = new Scene()
  await twins(scene)
  const names = [
    `ingress-${numberOf(scene, 'eth0')}`,
    `egress-${numberOf(scene, 'ckg101')}`,
    `egress-${numberOf(scene, 'ckg102')}`,
  ]
  await until('the gateways have their links', () =>
    names.every((name) => existsSync(`${scene.pins}/devices/${name}`)),
  )
  const before = names.map((name) => linkAt(scene, name))
  await scene.kill()
  expect(names.map((name) => linkAt(scene, name))).toEqual(before)

  await scene.update([blue, twin, red], blocksOf(scene))
  for (const [i, name] of names.entries()) {
    const { id, program } = linkAt(scene, name)
    expect(id).toBe(before[i]?.id ?? 0)
    expect(program).not.toBe(before[i]?.program ?? '')
  }
}, 60_000)

test('the pin of a device that is gone goes, and the next device of that name has a link of its own', async () => {
  await using scene = new Scene()
  await twins(scene)
  const pins = () => readdirSync(`${scene.pins}/devices`).filter((pin) => pin.startsWith('ingress'))
  const before = pins()
  scene.host.run('ip link del ckvx0')
  await until('another device has a link', () => {
    const now = pins()
    return now.length === before.length && now.join() !== before.join()
  })
  expect(linkAt(scene, `ingress-${numberOf(scene, 'ckvx0')}`).program).toStartWith('from_vxlan')
}, 60_000)
