/** Limits of real containers: measured, changed while packets pass, taken off by hand, and put back. */

import { expect, test } from 'bun:test'
import type { Bandwidth } from '../../src/model/endpoint.ts'
import { ip } from '../../src/net/testing.ts'
import { networkOf } from '../../src/plan/testing.ts'
import { openSocket, type Socket } from './datapath/sockets.ts'
import type { Namespace } from './datapath/wire.ts'
import { OUTSIDE, Scene, until } from './gateway/scene.ts'

const blue = networkOf('blue', 100, ['10.80.0.0/16', 'fd80::/48'], 'vxlan')
const BITS_PER_SECOND = 16_000_000
const LIMITED: Bandwidth = {
  toContainer: { bitsPerSecond: BITS_PER_SECOND },
  fromContainer: { bitsPerSecond: BITS_PER_SECOND },
}
/** Of every frame of 1,464 bytes, payload of TCP over IPv4, and over IPv6. */
const PAYLOAD = { 4: 1398 / 1464, 6: 1378 / 1464 } as const
const LIMITED_AT = { 4: '10.80.255.1', 6: 'fd80::1:1' } as const
const OTHER_AT = { 4: '10.80.255.2', 6: 'fd80::1:2' } as const
const HURRIED_MS = 12_000

interface Place {
  readonly ns: Namespace
  readonly address: string
}

/** A limited container and one that is not. */
async function begin(bandwidth: Bandwidth | undefined) {
  const scene = new Scene()
  scene.container('web', blue, [LIMITED_AT[4], LIMITED_AT[6]])
  const other = scene.container('cli', blue, [OTHER_AT[4], OTHER_AT[6]])
  await limit(scene, bandwidth)
  const at = (
    { ns }: { readonly ns: Namespace },
    addresses: Readonly<Record<4 | 6, string>>,
    family: 4 | 6,
  ) => ({
    ns,
    address: addresses[family],
  })
  const [web] = scene.containers
  if (web === undefined) throw new Error('a container was made')
  return {
    scene,
    web: (family: 4 | 6) => at(web, LIMITED_AT, family),
    other: (family: 4 | 6) => at(other, OTHER_AT, family),
    outside: (family: 4 | 6) => ({ ns: scene.outside, address: OUTSIDE[family] }),
    inside: web.ns,
    [Symbol.asyncDispose]: () => scene[Symbol.asyncDispose](),
  }
}

/** Gives the first container these limits, and makes the kernel agree. */
async function limit(scene: Scene, bandwidth: Bandwidth | undefined): Promise<void> {
  const [web] = scene.containers
  if (web === undefined) throw new Error('there is no container')
  const { bandwidth: _before, ...endpoint } = web.endpoint
  const now = bandwidth === undefined ? endpoint : { ...endpoint, bandwidth }
  scene.containers[0] = { ...web, endpoint: now }
  await scene.update([blue])
}

/** Two ends of a connection that `asks` opened. */
function connect(asks: Place, listens: Place, port: number): readonly [Socket, Socket] {
  using listening = openSocket(listens.ns, 'tcp', ip(listens.address))
    .option(1, 2, 1)
    .bind(ip(listens.address), port)
    .listen()
  const asking = openSocket(asks.ns, 'tcp', ip(asks.address))
  if (!asking.connect(ip(listens.address), port)) throw new Error(`no way to ${listens.address}`)
  return [asking, listening.accept()]
}

/** Bits of payload that come through in a second, once what may pass at once has passed. */
function ratePerSecond(from: Socket, to: Socket): number {
  const chunk = new Uint8Array(1 << 16)
  const buffer = new Uint8Array(1 << 18)
  const settledBytes = BITS_PER_SECOND / 8 / 2
  const wantBytes = settledBytes + BITS_PER_SECOND / 8
  let [got, startMs] = [0, 0]
  while (got < wantBytes) {
    while (from.send(chunk, false) !== undefined) {
      // as much as the socket takes
    }
    const part = to.receive(buffer)
    if (part === undefined) throw new Error('the connection stands still')
    if (got < settledBytes && got + part.length >= settledBytes) {
      startMs = performance.now()
      got = settledBytes
    } else {
      got += part.length
    }
  }
  return ((got - settledBytes) * 8 * 1000) / (performance.now() - startMs)
}

test('limits hold within a tenth, whoever sends, and whoever asked', async () => {
  await using here = await begin(LIMITED)
  let port = 5100
  for (const family of [4, 6] as const) {
    const [web, other, outside] = [here.web(family), here.other(family), here.outside(family)]
    for (const { what, asks, listens, back } of [
      { what: 'from a neighbour', asks: other, listens: web },
      { what: 'to a neighbour', asks: web, listens: other },
      { what: 'from outside', asks: web, listens: outside, back: true },
      { what: 'to the outside', asks: web, listens: outside },
    ]) {
      const deadline = performance.now() + HURRIED_MS
      const shares: number[] = []
      let near = false
      // A machine that is busy elsewhere reads late what came in time: it is asked again.
      while (!near && performance.now() < deadline) {
        const [asking, answering] = connect(asks, listens, port++)
        using first = asking
        using second = answering
        const rate = back ? ratePerSecond(second, first) : ratePerSecond(first, second)
        const share = rate / PAYLOAD[family] / BITS_PER_SECOND
        near = share > 0.9 && share < 1.1
        shares.push(share)
      }
      expect({ what, family, near, shares }).toMatchObject({ near: true })
    }
  }
  expect(await here.scene.repairs()).toEqual({})
}, 120_000)

interface Shown {
  readonly kind: string
  readonly handle: string
  readonly options?: { readonly rate?: number }
}

/** The rates at the two ends, in bytes a second; undefined where there is no bucket of ours. */
function rates(scene: Scene, inside: Namespace) {
  const at = (ns: Namespace, device: string) => {
    const [root] = JSON.parse(ns.run(`tc -j qdisc show dev ${device} root`)) as readonly Shown[]
    return root?.kind === 'tbf' && root.handle === 'ca10:' ? root.options?.rate : undefined
  }
  return { toContainer: at(scene.host, 'ckweb'), fromContainer: at(inside, 'eth0') }
}

const both = (toContainer?: number, fromContainer?: number) => ({ toContainer, fromContainer })

test('limits of a container that runs come, change and go', async () => {
  await using here = await begin(undefined)
  const { scene, inside } = here
  const [asking, answering] = connect(here.other(4), here.web(4), 5200)
  using to = answering
  using from = asking
  const expectStream = () => {
    from.send(new Uint8Array(10_000))
    let left = 10_000
    while (left > 0) left -= to.receive(new Uint8Array(10_000))?.length ?? 10_000
    expect(left).toBe(0)
  }
  for (const { wish, want } of [
    { wish: undefined, want: both() },
    { wish: LIMITED, want: both(2_000_000, 2_000_000) },
    { wish: { toContainer: { bitsPerSecond: 80_000_000 } }, want: both(10_000_000) },
    {
      wish: { fromContainer: { bitsPerSecond: 80_000_000, burstBits: 1e6 } },
      want: both(undefined, 10_000_000),
    },
    { wish: {}, want: both() },
  ]) {
    await limit(scene, wish)
    expect(rates(scene, inside)).toEqual(want)
    expectStream()
    expect(await scene.audit(['veth', 'endpoint', 'interior'])).toEqual({
      repaired: {},
      failures: [],
    })
  }
  // What we take off ourselves is no drift.
  expect(await scene.repairs()).toEqual({})
}, 60_000)

test('what somebody else changes is put right, and what is not ours is left alone', async () => {
  await using here = await begin(LIMITED)
  const { scene, inside } = here
  const want = both(2_000_000, 2_000_000)
  scene.host.run('tc qdisc del dev ckweb root')
  await until('the limit is there again', () => rates(scene, inside).toContainer === 2_000_000)
  scene.host.run('tc qdisc replace dev ckweb root handle 1: pfifo limit 10')
  await until('the limit is there again', () => rates(scene, inside).toContainer === 2_000_000)
  scene.host.run('tc qdisc change dev ckweb root handle ca10: tbf rate 1gbit burst 99k limit 9m')
  inside.run('tc qdisc del dev eth0 root')
  // Of neither the kernel tells: they are found when all is compared.
  await scene.audit(['veth', 'interior'])
  await until('both limits are there again', () => Bun.deepEquals(rates(scene, inside), want))
  await limit(scene, undefined)
  const foreign = 'handle 1: tbf rate 1gbit burst 99k limit 9m'
  scene.host.run(`tc qdisc replace dev ckweb root ${foreign}`)
  inside.run(`tc qdisc replace dev eth0 root ${foreign}`)
  expect(await scene.audit(['veth', 'interior'])).toEqual({ repaired: {}, failures: [] })
  expect(scene.host.run('tc qdisc show dev ckweb root')).toContain('tbf 1:')
  expect(inside.run('tc qdisc show dev eth0 root')).toContain('tbf 1:')
}, 60_000)

for (const { what, before, after, want } of [
  { what: 'stay', before: LIMITED, after: LIMITED, want: both(2_000_000, 2_000_000) },
  { what: 'that were lifted meanwhile go', before: LIMITED, after: undefined, want: both() },
  {
    what: 'that came meanwhile are put',
    before: undefined,
    after: LIMITED,
    want: both(2_000_000, 2_000_000),
  },
]) {
  test(`when the dataplane comes again limits ${what}`, async () => {
    await using here = await begin(before)
    await here.scene.kill()
    await limit(here.scene, after)
    expect(rates(here.scene, here.inside)).toEqual(want)
    expect(await here.scene.audit(['veth', 'endpoint', 'interior'])).toEqual({
      repaired: {},
      failures: [],
    })
  }, 60_000)
}
