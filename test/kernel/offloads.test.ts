/** Offloads of devices in a namespace, judged by ethtool. */

import { afterAll, expect, test } from 'bun:test'
import { isNetworkError } from '../../src/lib/errors.ts'
import { run, TestNamespaces } from './namespaces.ts'

const namespaces = new TestNamespaces()
afterAll(() => namespaces[Symbol.dispose]())

test('checksums are left to the hardware until told otherwise, and again afterwards', () => {
  const { name, view } = namespaces.make('off')
  view.links.createVeth({ name: 'a', peer: { name: 'b' } })
  const told = (): readonly (string | undefined)[] => {
    const text = run(name, 'ethtool -k a')
    return ['tx-checksumming', 'tx-tcp-segmentation'].map(
      (feature) => new RegExp(`^\\s*${feature}: (on|off)`, 'm').exec(text)?.[1],
    )
  }
  expect([view.offloads.checksumsSent('a'), ...told()]).toEqual([true, 'on', 'on'])
  view.offloads.setChecksumsSent('a', false)
  expect([view.offloads.checksumsSent('a'), ...told()]).toEqual([false, 'off', 'off'])
  view.offloads.setChecksumsSent('a', true)
  expect([view.offloads.checksumsSent('a'), ...told()]).toEqual([true, 'on', 'on'])
})

test('offloads of a device that is not there are a kernel error', () => {
  const { view } = namespaces.make('off')
  let found: unknown
  try {
    view.offloads.checksumsSent('nobody')
  } catch (error) {
    found = error
  }
  expect(isNetworkError(found, 'kernel')).toBe(true)
})
