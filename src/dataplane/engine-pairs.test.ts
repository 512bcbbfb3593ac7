import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { FABRIC_MAC, MARK, type Veth } from '../hoststate/state.ts'
import { type FakeKernel, openFakeKernel } from '../kernel/fake/fake-kernel.ts'
import { isNetworkError } from '../lib/errors.ts'
import { mac } from '../net/testing.ts'
import { type Context, DeviceIndexes, HeldSandboxes } from './context.ts'
import { EnginePairs } from './engine-pairs.ts'
import type { Aside } from './put-aside.ts'
import { veths } from './resources/veths.ts'

const MAC = mac('0a:00:00:00:00:02')
const BOX = '/run/netns/box'
let kernel: FakeKernel

beforeEach(() => {
  kernel = openFakeKernel()
  kernel.startProcess(7, BOX)
})
afterEach(() => kernel[Symbol.dispose]())

function pairOf(run: string, mtuBytes = 1450, softwareChecksums = false): Veth {
  return {
    ...{ kind: 'veth', name: 'ckbox', mac: FABRIC_MAC, mtuBytes, alias: 'blue/box' },
    sandbox: { path: '', inode: 0 },
    peer: { name: 'ckebox', mac: MAC },
    engine: { run, softwareChecksums },
  }
}

/** One run of the daemon. */
function begin(run: string) {
  const enginePairs = new EnginePairs(kernel, run)
  const context: Context = {
    ...{ kernel, enginePairs, settingsFile: '', tableFile: '' },
    // pairs do not look at these
    ...{ datapath: undefined as never, hooks: undefined as never, closing: undefined as never },
    deviceLinks: undefined as never,
    devices: new DeviceIndexes(kernel),
    sandboxes: new HeldSandboxes(kernel),
  }
  const dying: Aside[] = []
  return { pairs: enginePairs, dying, resource: veths(context, (aside) => dying.push(aside)) }
}

test('both ends are born on the host, of the size and with the offloads wanted', () => {
  const { resource } = begin('one')
  resource.put(pairOf('one', 1400, true))
  const [host, theirs] = [kernel.links.get('ckbox'), kernel.links.get('ckebox')]
  assert.deepEqual(
    [host?.up, host?.mtuBytes, host?.group, host?.mac],
    [true, 1400, MARK.endpointGroup, FABRIC_MAC],
  )
  assert.deepEqual(
    [theirs?.up, theirs?.mtuBytes, theirs?.group, theirs?.mac],
    [false, 1400, MARK.enginePeerGroup, MAC],
  )
  assert.equal(kernel.offloads.checksumsSent('ckebox'), false)
})

test('that the engine takes its end, renames it and gives it back is no drift', () => {
  const { resource, pairs } = begin('one')
  const want = pairOf('one')
  resource.put(want)
  const same = (): boolean => {
    const [have] = [...resource.list([want], true)]
    return have !== undefined && resource.equal(want, have as never) && !pairs.hasGone(want)
  }
  using box = kernel.openNetns(BOX)
  kernel.links.set('ckebox', { netns: box })
  assert.ok(same())
  kernel.inNetns(box, (inside) => {
    inside.links.set('ckebox', { name: 'eth0' })
    inside.links.set('eth0', { up: true })
  })
  assert.ok(same())
  assert.deepEqual(pairs.admit({ object: 'endpoint/1', wanted: [want] }).wanted, [want])
})

test('the size stays as it was made when the network becomes smaller', () => {
  const { resource } = begin('one')
  resource.put(pairOf('one', 1450))
  const smaller = pairOf('one', 1300)
  resource.put(smaller)
  assert.equal(kernel.links.get('ckbox')?.mtuBytes, 1450)
  const [have] = [...resource.list([smaller], true)]
  assert.ok(have !== undefined && resource.equal(smaller, have as never))
})

test('a pair that has gone is not made again, and its endpoint asks for nothing', () => {
  const { resource, pairs } = begin('one')
  const change = { object: 'endpoint/1', wanted: [pairOf('one')] }
  assert.equal(pairs.admit(change), change)
  resource.put(pairOf('one'))
  kernel.links.remove('ckbox')
  assert.ok(pairs.hasGone(pairOf('one')))
  assert.deepEqual(pairs.admit(change), { object: 'endpoint/1', wanted: [] })
  assert.throws(
    () => resource.put(pairOf('one')),
    (error) => isNetworkError(error, 'not-found'),
  )
  assert.equal(kernel.links.get('ckbox'), undefined)
  resource.remove(pairOf('one'))
})

test('a later run keeps what stands and makes nothing that an earlier one was asked for', () => {
  begin('one').resource.put(pairOf('one'))
  const { pairs, resource } = begin('two')
  const change = { object: 'endpoint/1', wanted: [pairOf('one')] }
  assert.equal(pairs.admit(change), change)
  resource.put(pairOf('one'))
  kernel.links.remove('ckbox')
  assert.deepEqual(pairs.admit(change), { object: 'endpoint/1', wanted: [] })
})

test('what waits to be deleted is gone; the same name may be asked for again once its record went', () => {
  const { pairs, resource, dying } = begin('one')
  const change = { object: 'endpoint/1', wanted: [pairOf('one')] }
  pairs.admit(change)
  resource.put(pairOf('one'))
  resource.remove(pairOf('one'))
  assert.equal(dying.length, 1)
  assert.ok(pairs.hasGone(pairOf('one')))
  assert.deepEqual(pairs.admit({ object: 'endpoint/1', wanted: [] }).wanted, [])
  assert.equal(pairs.admit(change), change)
})
