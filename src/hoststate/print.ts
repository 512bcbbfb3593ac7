/** HostState as an operator would read it: the golden files of the plan, and `carrick daemon` at debug. */

import type { HostState, Wanted } from './state.ts'

/** One block of lines per object, in the order of their keys. */
export function printHostState(state: HostState): string {
  const blocks = [...state.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, wanted]) => [key, ...wanted.map((each) => `  ${printWanted(each)}`)].join('\n'))
  return `${blocks.join('\n')}\n`
}

/** One line for one wanted thing. */
export function printWanted(wanted: Wanted): string {
  switch (wanted.kind) {
    case 'vxlan-device':
      return `vxlan ${wanted.name} external dstport ${wanted.port}`
    case 'program':
      return `program ${wanted.program} on ${'device' in wanted.at ? `dev ${wanted.at.device}` : `block ${wanted.at.block}`} ingress`
    case 'block':
      return `block ${wanted.block} anchored by ${wanted.anchor}`
    case 'ruleset':
      return `table ${wanted.table}: drop from group ${wanted.endpointGroup}`
    case 'config':
      return `config fabric ${wanted.fabricMac} vxlan ${wanted.vxlanDevice} port ${wanted.vxlanPort}${wanted.addresses.map((address) => ` local ${address}`).join('')}${wanted.direct ? ' direct' : ''}`
    case 'network':
      return `network ${wanted.vni} ${wanted.prefixes.map((prefix, i) => `${prefix} gateway ${wanted.gateways[i]}`).join(' ')}`
    case 'direct-prefix':
      return `direct ${wanted.prefix} network ${wanted.vni}`
    case 'peer':
      return `peer ${wanted.index} ${wanted.remote} src ${wanted.local} port ${wanted.vxlanPort}${wanted.onLink ? ` onlink ${wanted.mac}` : ''}${wanted.mtuLimitBytes === undefined ? '' : ` mtu ${wanted.mtuLimitBytes}`}`
    case 'endpoint':
      return `endpoint ${wanted.vni}/${wanted.address} ${wanted.mac} at ${'device' in wanted.at ? `dev ${wanted.at.device}` : `host ${wanted.at.hostIndex}`}`
    case 'veth':
      return `veth ${wanted.name} mtu ${wanted.mtuBytes} alias "${wanted.alias}" peer ${wanted.peer.name} ${wanted.peer.mac} in ${wanted.sandbox.path}`
    case 'device':
      return `device ${wanted.device} network ${wanted.vni} may send as ${wanted.mac} ${wanted.addresses.join(' ')} by ${wanted.carrier}`
    case 'interior':
      return `inside ${wanted.device}: ${wanted.ifname} mtu ${wanted.mtuBytes}, ${wanted.softwareChecksums ? 'checksums in software, ' : ''}${[
        ...wanted.addresses.map(({ address, length }) => `address ${address}/${length}`),
        ...wanted.neighbours.map(({ address, mac }) => `neighbour ${address} ${mac}`),
        ...wanted.routes.map(
          ({ to, via, metric }) =>
            `route ${to} via ${via}${metric === undefined ? '' : ` metric ${metric}`}`,
        ),
      ].join(', ')}`
    default:
      return wanted satisfies never
  }
}
