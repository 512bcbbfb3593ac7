/** HostState as an operator would read it: the golden files of the plan, and `carrick daemon` at debug. */

import type { HostState, Shaping, Wanted } from './state.ts'

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
      return `program ${wanted.program} on ${'device' in wanted.at ? `dev ${wanted.at.device} ingress` : `block ${wanted.at.block}`}`
    case 'block':
      return `block ${wanted.block} ${wanted.direction} anchored by ${wanted.anchor}`
    case 'ruleset':
      return `table ${wanted.table}: drop from group ${wanted.endpointGroup}, marks ${hex(wanted.packetMarkMask)}, vxlan port ${wanted.vxlanPort}${wanted.resolver === undefined ? '' : `, names at ${wanted.resolver.addresses.join(' ')} to port ${wanted.resolver.port} but from ${wanted.resolver.closed.join(' ')}`}`
    case 'gateway':
      return `gateway ${wanted.device} peer ${wanted.peer} ${wanted.mac} mtu ${wanted.mtuBytes} alias "${wanted.alias}" ${wanted.addresses.join(' ')}${wanted.softwareChecksums ? ' checksums in software' : ''}${wanted.loopback ? ', and the loopback behind it' : ''}`
    case 'gateway-entry':
      return `gateway ${wanted.device} leads into network ${wanted.vni} by ${wanted.carrier} mtu ${wanted.mtuBytes}, all in ${wanted.around.join(' and ')}`
    case 'gateway-rules':
      return `rules of ${wanted.device}: index ${wanted.index}, addresses ${wanted.addresses.join(' ')}, hairpin ${wanted.hairpin.join(' ')}, inside ${wanted.prefixes.join(' ')}${wanted.routed.length === 0 ? '' : `, routed ${wanted.routed.join(' ')}`}${wanted.resolver === undefined ? '' : `, names at ${wanted.resolver.addresses.join(' ')} to port ${wanted.resolver.port}`}${wanted.internal === undefined ? '' : ', nothing else'}`
    case 'resolver-device':
      return `resolver ${wanted.device} peer ${wanted.peer} ${wanted.addresses.join(' ')}`
    case 'host-route':
      return `route ${wanted.prefix} dev ${wanted.device} table ${wanted.table}${wanted.source === undefined ? '' : ` src ${wanted.source}`}`
    case 'closing':
      return `closed while the table is missing: marks ${hex(wanted.mark)}`
    case 'host-rule':
      return `rule ${wanted.family === 4 ? 'inet' : 'inet6'} ${wanted.priority}:${wanted.mark === undefined ? '' : ` fwmark ${hex(wanted.mark)}/${hex(wanted.mask ?? 0xffffffff)}`}${wanted.outputDevice === undefined ? '' : ` oif ${wanted.outputDevice}`} lookup ${wanted.table}`
    case 'forwarding':
      return `forwarding ${wanted.families.map((family) => (family === 4 ? 'inet' : 'inet6')).join(' ')}${wanted.reflectMarks ? ', marks reflected' : ''}`
    case 'config':
      return `config fabric ${wanted.fabricMac} vxlan ${wanted.vxlanDevice} port ${wanted.vxlanPort}${wanted.addresses.map((address) => ` local ${address}`).join('')}${wanted.direct ? ' direct' : ''} marks ${hex(wanted.packetMarkMask)}${wanted.resolvers.map((address) => ` resolver ${address}`).join('')}`
    case 'network':
      return `network ${wanted.vni} ${wanted.prefixes.map((prefix, i) => `${prefix}${wanted.gateways[i] === undefined ? '' : ` gateway ${wanted.gateways[i]}`}`).join(' ')}${wanted.gateway === undefined ? '' : ` dev ${wanted.gateway.device} mark ${hex(wanted.gateway.mark)}`}${wanted.openMetadata ? ' metadata' : ''}${wanted.internal && wanted.gateway !== undefined ? ' for names alone' : ''}`
    case 'direct-prefix':
      return `direct ${wanted.prefix} network ${wanted.vni}`
    case 'peer':
      return `peer ${wanted.index} ${wanted.remote} src ${wanted.local} port ${wanted.vxlanPort}${wanted.onLink ? ` onlink ${wanted.mac}` : ''}${wanted.mtuLimitBytes === undefined ? '' : ` mtu ${wanted.mtuLimitBytes}`}`
    case 'endpoint':
      return `endpoint ${wanted.vni}/${wanted.address} ${wanted.mac} at ${'device' in wanted.at ? `dev ${wanted.at.device}${wanted.at.shaped ? ' by its queue' : ''}` : `host ${wanted.at.hostIndex}`}${wanted.host === undefined ? '' : ' itself'}`
    case 'veth':
      return `veth ${wanted.name} mtu ${wanted.mtuBytes} alias "${wanted.alias}" peer ${wanted.peer.name} ${wanted.peer.mac} ${wanted.engine === undefined ? `in ${wanted.sandbox.path}` : `for an engine${wanted.engine.softwareChecksums ? ', checksums in software' : ''}`}${printShaping(wanted.shaping)}`
    case 'device':
      return `device ${wanted.device} network ${wanted.vni} may send as ${wanted.mac} ${wanted.addresses.join(' ')} by ${wanted.carrier}`
    case 'interior':
      return `inside ${wanted.device}: ${wanted.ifname} mtu ${wanted.mtuBytes}, ${wanted.softwareChecksums ? 'checksums in software, ' : ''}${printShaping(wanted.shaping, '', ', ')}${[
        ...wanted.addresses.map(({ address, length }) => `address ${address}/${length}`),
        ...wanted.neighbours.map(({ address, mac }) => `neighbour ${address} ${mac}`),
        ...wanted.routes.map(
          ({ to, via, metric }) =>
            `route ${to} via ${via}${metric === undefined ? '' : ` metric ${metric}`}`,
        ),
      ].join(', ')}`
    case 'passage':
      return `passage in foreign ${wanted.hooks.join(' and ')} chains for mark 0x${wanted.mark.toString(16)}`
    case 'publication':
      return `port ${wanted.hostAddress ?? '*'} ${wanted.hostPort}/${wanted.protocol} to ${wanted.address} ${wanted.containerPort}${wanted.index === 0 ? '' : ` index ${wanted.index}`}`
    case 'loopback-port':
      return `loopback port ${wanted.family} ${wanted.address ?? '*'} ${wanted.port}/${wanted.protocol} to ${wanted.target} ${wanted.targetPort}${wanted.mark === 0 ? '' : ` mark 0x${wanted.mark.toString(16).padStart(8, '0')}`}`
    case 'socket-hooks':
      return 'socket hooks at the root of the cgroup tree'
    default:
      return wanted satisfies never
  }
}

function printShaping(shaping: Shaping | undefined, before = ' ', after = ''): string {
  if (shaping === undefined) return ''
  const { bytesPerSecond, burstBytes, queueBytes } = shaping
  return `${before}sends ${bytesPerSecond * 8} bit/s, ${burstBytes} bytes at once, ${queueBytes} waiting${after}`
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`
}
