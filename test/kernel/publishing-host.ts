/**
 * A host with our table in a namespace of its own, the resource of published ports in front of it, and a client
 * and a container on two sides, by plain veths.
 */
import assert from 'node:assert/strict'
import { publications } from '../../src/dataplane/resources/publications.ts'
import { rulesetText } from '../../src/dataplane/resources/ruleset-text.ts'
import { forgetFlows, type StaleFlow } from '../../src/dataplane/stale-flows.ts'
import { DEFAULT_MARK_MASK } from '../../src/hoststate/marks.ts'
import type { PortForward } from '../../src/hoststate/ports.ts'
import { MARK } from '../../src/hoststate/state.ts'
import { ip } from '../../src/net/testing.ts'
import { run, type TestNamespaces } from './namespaces.ts'

export const CLIENT = ip('198.51.100.7')
export const CLIENT6 = ip('2001:db8:1::7')
export const HOST = ip('198.51.100.1')
export const HOST6 = ip('2001:db8:1::1')
export const CONTAINER = ip('10.80.0.2')
export const CONTAINER6 = ip('fd80::2')

/** Our table in a namespace, and the resource in front of it. */
export function publishingHost(namespaces: TestNamespaces) {
  const made = namespaces.make('h')
  const stale: StaleFlow[] = []
  made.view.nft.run(
    rulesetText({
      kind: 'ruleset',
      table: MARK.table,
      endpointGroup: MARK.endpointGroup,
      packetMarkMask: DEFAULT_MARK_MASK,
      vxlanPort: 4789,
      indexed: true,
    }),
  )
  made.view.nft.run(`add chain inet ${MARK.table} to_7`)
  const resource = publications(made.view, (flows) => stale.push(...flows))
  const forget = () => forgetFlows(made.view, stale.splice(0))
  const list = () => [...resource.list([], true)]
  const elements = (map: string) =>
    run(made.name, `nft list map inet ${MARK.table} ${map}`)
      .replaceAll(/\s+/g, ' ')
      .replace(/.*elements = \{ (.*) \} \} \}.*/, '$1')
  return { ...made, resource, stale, forget, list, elements }
}

/** A client and a container on two sides of the host, by plain veths. */
export function publishingHostBetween(namespaces: TestNamespaces) {
  const middle = publishingHost(namespaces)
  const ends = [
    { label: 'c', far: CLIENT, far6: CLIENT6, near: HOST, near6: HOST6 },
    { label: 'b', far: CONTAINER, far6: CONTAINER6, near: ip('10.80.0.1'), near6: ip('fd80::1') },
  ].map(({ label, far, far6, near, near6 }) => {
    const end = namespaces.make(label)
    const { index } = middle.view.links.createVeth({
      name: label,
      peer: { name: 'eth0', netns: end.netns },
    })
    for (const [view, device] of [
      [middle.view, label],
      [end.view, 'eth0'],
    ] as const) {
      view.sysctl.write(['net', 'ipv6', 'conf', device, 'accept_dad'], '0')
      view.links.set(device, { up: true })
    }
    const inner = end.view.links.get('eth0')?.index ?? 0
    const lengths = { 4: 24, 6: 64 } as const
    for (const [view, device, addresses] of [
      [middle.view, index, [near, near6]],
      [end.view, inner, [far, far6]],
    ] as const) {
      for (const address of addresses) {
        const prefixLength = lengths[address.includes(':') ? 6 : 4]
        view.addresses.put({ device, address, prefixLength, noDad: true })
      }
    }
    end.view.routes.put({ destination: '0.0.0.0/0', gateway: near, device: inner })
    end.view.routes.put({ destination: '::/0', gateway: near6, device: inner })
    return { ...end, path: `/run/netns/${end.name}` }
  })
  middle.view.sysctl.write(['net', 'ipv4', 'ip_forward'], '1')
  middle.view.sysctl.write(['net', 'ipv6', 'conf', 'all', 'forwarding'], '1')
  const [client, container] = ends
  assert.ok(client !== undefined && container !== undefined)
  return { ...middle, path: `/run/netns/${middle.name}`, client, container }
}

/** A published port of the container. */
export function port(change: Partial<PortForward> = {}): PortForward {
  return {
    kind: 'publication',
    protocol: 'tcp',
    hostPort: 8080,
    address: CONTAINER,
    containerPort: 80,
    index: 0,
    ...change,
  }
}
