/** Two networks with equal prefixes, blocks and containers, and one beside them. */

import { blockOf, networkOf } from '../../../src/plan/testing.ts'
import type { Scene } from './scene.ts'

export const FAMILIES = [4, 6] as const
/** The address of both equal containers, and that of another one in each network. */
export const SOURCE = { 4: '10.80.255.1', 6: 'fd80::ffff:0:0:1' } as const
export const SECOND = { 4: '10.80.255.2', 6: 'fd80::ffff:0:0:2' } as const
export const GATEWAY = { 4: '10.80.0.1', 6: 'fd80::1' } as const
export const OWN = { 4: '10.80.255.254', 6: 'fd80::ffff:ffff:ffff:ffff:ffff' } as const
/** The container of the network beside them, and its gateway. */
export const BESIDE = { 4: '10.81.0.7', 6: 'fd81::7' } as const
export const BESIDE_GATEWAY = { 4: '10.81.0.1', 6: 'fd81::1' } as const
export const ANY = { 4: '0.0.0.0', 6: '::' } as const

export const blue = networkOf('blue', 100, ['10.80.0.0/16', 'fd80::/48'], 'vxlan')
export const twin = networkOf('twin', 101, ['10.80.0.0/16', 'fd80::/48'], 'vxlan')
export const red = networkOf('red', 102, ['10.81.0.0/16', 'fd81::/48'], 'local')

export function containersOf(scene: Scene) {
  return {
    a: scene.container('a', blue, [SOURCE[4], SOURCE[6]]),
    a2: scene.container('a2', blue, [SECOND[4], SECOND[6]]),
    b: scene.container('b', twin, [SOURCE[4], SOURCE[6]]),
    c: scene.container('c', red, [BESIDE[4], BESIDE[6]]),
  }
}

export function blocksOf(scene: Scene) {
  return [blue, twin].flatMap((network) => [
    blockOf(network, scene.self, '10.80.252.0/22'),
    blockOf(network, scene.self, 'fd80:0:0:ffff::/64'),
  ])
}

export async function twins(scene: Scene) {
  const containers = containersOf(scene)
  await scene.update([blue, twin, red], blocksOf(scene))
  return containers
}
