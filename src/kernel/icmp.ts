/**
 * How often somebody on the way told this host that a packet was too big. The kernel learns the path's MTU
 * from it and tells nobody; its counters are cheap to read.
 */
import { readFileSync } from 'node:fs'

/**
 * Messages so far in the calling thread's namespace: destination unreachable (RFC 792; code 4 is among
 * them) and packet too big (RFC 4443 §3.2). /proc/net/snmp, /proc/net/snmp6
 */
export function countTooBigHints(): number {
  return unreachables(textOf('snmp')) + tooBigs(textOf('snmp6'))
}

function unreachables(text: string): number {
  const [names = '', values = ''] = text.split('\n').filter((line) => line.startsWith('Icmp:'))
  const column = names.split(' ').indexOf('InDestUnreachs')
  return Number(values.split(' ')[column] ?? 0)
}

function tooBigs(text: string): number {
  return Number(/^Icmp6InPktTooBigs\s+(\d+)$/m.exec(text)?.[1] ?? 0)
}

function textOf(name: string): string {
  try {
    return readFileSync(`/proc/thread-self/net/${name}`, 'utf8')
  } catch {
    return '' // a kernel without IPv6
  }
}
