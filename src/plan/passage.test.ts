import { expect, test } from 'bun:test'
import { DEFAULT_MARK_MASK } from '../hoststate/marks.ts'
import type { Carrier } from '../model/network.ts'
import { planPassage } from './passage.ts'
import { networkOf } from './testing.ts'

for (const { what, carrier, internal, hooks } of [
  {
    what: 'a network of many hosts',
    carrier: 'vxlan',
    internal: false,
    hooks: ['forward', 'input'],
  },
  { what: 'a network of one host', carrier: 'local', internal: false, hooks: ['forward'] },
  { what: 'a network without a way out', carrier: 'vxlan', internal: true, hooks: ['input'] },
  { what: 'a closed network of one host', carrier: 'local', internal: true, hooks: [] },
] satisfies readonly { what: string; carrier: Carrier; internal: boolean; hooks: string[] }[]) {
  test(`${what} is passed on ${hooks.join(' and ') || 'no hook'}`, () => {
    const network = { ...networkOf('blue', 100, ['10.80.0.0/16'], carrier), internal }
    const planned = planPassage([network], DEFAULT_MARK_MASK, false)
    const [passage] = planned
    expect(planned.length).toBe(hooks.length === 0 ? 0 : 1)
    if (passage?.kind === 'passage') expect(passage).toMatchObject({ mark: 0x400000, hooks })
  })
}

test('questions for names come in whatever the network is', () => {
  const closed = { ...networkOf('blue', 100, ['10.80.0.0/16'], 'local'), internal: true }
  expect(planPassage([closed], DEFAULT_MARK_MASK, true)).toMatchObject([{ hooks: ['input'] }])
})

test('without networks nobody is asked for anything', () => {
  expect(planPassage([], DEFAULT_MARK_MASK, true)).toEqual([])
})
