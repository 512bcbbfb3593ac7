/** Datagrams that reached a container and found its sockets' buffers full, as its kernel counts them. */

import { readFileSync } from 'node:fs'

/** All of the calling process's namespace, both families, since it was made. /proc/net/snmp, snmp6 */
export function countOverflows(): number {
  const [names = '', values = ''] = readFileSync('/proc/self/net/snmp', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('Udp:'))
  const at = names.split(' ').indexOf('RcvbufErrors')
  const six = /^Udp6RcvbufErrors\s+(\d+)$/m.exec(readFileSync('/proc/self/net/snmp6', 'utf8'))
  return Number(values.split(' ')[at] ?? 0) + Number(six?.[1] ?? 0)
}
