import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { CNI_LABELS } from '../../model/cni.ts'
import type { Publication } from '../../model/publication.ts'
import { fakeEndpoint, fakeNetwork } from '../rest/fake-control.ts'
import { type PrecedenceUses, precedenceOf } from './precedence.ts'

const BLUE = fakeNetwork('blue')
const QUIET = { ...fakeNetwork('quiet', 2), internal: true }

/** A container whose interfaces stand, each with a port. */
function controlWith(
  ...standing: readonly { ifname: string; networkId?: string }[]
): PrecedenceUses {
  const endpoints = standing.map((fields, i) =>
    fakeEndpoint(i + 1, { ...fields, labels: { [CNI_LABELS.container]: 'c1' } }),
  )
  return {
    cniEndpointsOf: (container) => (container === 'c1' ? endpoints : []),
    getNetwork: (id) => (id === QUIET.id ? QUIET : BLUE),
    publicationsOf: (id) => [{ id: `port of ${id}` } as Publication], // its id is all that is read
  }
}

for (const { name, standing, ifname, network = BLUE, container = 'c1', want } of [
  { name: 'the only interface', standing: [], ifname: 'eth0', want: false },
  { name: 'one behind another', standing: [{ ifname: 'eth0' }], ifname: 'eth1', want: false },
  { name: 'one before another', standing: [{ ifname: 'eth1' }], ifname: 'eth0', want: true },
  {
    name: 'one between two',
    standing: [{ ifname: 'eth0' }, { ifname: 'eth2' }],
    ifname: 'eth1',
    want: false,
  },
  { name: 'numbers, not letters', standing: [{ ifname: 'eth10' }], ifname: 'eth9', want: true },
  { name: 'names of a user', standing: [{ ifname: 'lan0' }], ifname: 'eth0', want: false },
  { name: 'a name of a user', standing: [{ ifname: 'eth1' }], ifname: 'aaa', want: false },
  {
    name: 'an internal network',
    standing: [{ ifname: 'eth1' }],
    ifname: 'eth0',
    network: QUIET,
    want: false,
  },
  {
    name: 'one that follows an internal one only',
    standing: [{ ifname: 'eth0', networkId: QUIET.id }],
    ifname: 'eth1',
    want: false,
  },
  {
    name: 'another container',
    standing: [{ ifname: 'eth1' }],
    ifname: 'eth0',
    container: 'c2',
    want: false,
  },
]) {
  test(`${name} ${want ? 'leads, with the ports' : 'takes nothing over'}`, () => {
    const precedence = precedenceOf(controlWith(...standing), container, ifname, network)
    assert.deepEqual(precedence, want ? { defaultRoute: true, movePorts: ['port of ep0001'] } : {})
  })
}
