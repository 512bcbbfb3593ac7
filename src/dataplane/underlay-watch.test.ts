import { expect, test } from 'bun:test'
import { openFakeKernel } from '../kernel/fake/fake-kernel.ts'
import { readUnderlay, type Underlay } from './underlay.ts'
import { UnderlayWatch } from './underlay-watch.ts'

test('UnderlayWatch tells of another underlay once, and of nothing when all is as before', async () => {
  using kernel = openFakeKernel()
  const view = kernel.look()
  const { index: device } = view.links.createBridge({
    name: 'eth0',
    up: true,
    mac: '02:00:00:00:00:01',
  })
  const [old, next] = ['192.0.2.1', '192.0.2.2'].map((address) => ({
    device,
    address,
    prefixLength: 24,
  }))
  if (old === undefined || next === undefined) throw new Error('fixture')
  view.addresses.put(old)
  const first = readUnderlay(kernel, {})
  const told: Underlay[] = []
  const heard = Promise.withResolvers<void>()
  using watch = new UnderlayWatch(kernel, { wish: {}, first }, (underlay) => {
    told.push(underlay)
    heard.resolve()
  })
  view.addresses.put(next)
  view.addresses.remove(old)
  for (let i = 0; i < 5; i++) watch.suspect()
  await heard.promise
  const addresses = told.map(({ uplinks }) => uplinks.map(({ address }) => `${address.address}`))
  expect(addresses).toEqual([[next.address]])
})
