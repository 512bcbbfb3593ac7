/**
 * The text of our table: what happens to a packet between the networks of this host and everything else.
 *
 * A container's packet comes in by its network's gateway device, marked as unchecked and with the network's
 * index. `zone` puts its connection into the zone of that index, so that nothing else meets the direction in
 * which it was opened; `check` sees that an answer comes from the side that was asked (R12); `towards` marks it
 * for the routing table of the side where it goes, and `forward` lets it out, or drops it. A packet for a
 * container takes the same way backwards; the program on the gateway device takes only what `forward`, or
 * for the host's own packets `sent`, has marked as passed. Most hosts have no index: then `check` and `forward`
 * are all that a packet of a known connection meets, by their first rules.
 *
 * Conntrack mark: bits 31...24 hold the index of the side that opened the connection, 23...16 that of the
 * side that answers; the others are not ours. Index 0 is everything that needs none: the outside, the host
 * itself, and networks whose prefixes nobody else here has. Each index in use has four chains, made with its
 * network's gateway: `zone_<i>`, `from_<i>`, `route_<i>` and `to_<i>`.
 *
 * What a publication (host address or none, protocol, host port → container's address and port) needs:
 * an element in `ports4_at` or `ports6_at` when it names a host address, else in `ports4_any` or `ports6_any`;
 * and, when its network's index i is not 0, one with the same key and the verdict `jump to_<i>` in the map of
 * the same name that begins with `marks`. Both in one transaction.
 */

import { packetMarks } from '../../hoststate/marks.ts'
import type { Ruleset } from '../../hoststate/ruleset.ts'
import { MARK } from '../../hoststate/state.ts'
import { PROBE_PORT } from '../../model/probe-network.ts'
import { familyOf } from '../../net/ip.ts'
import { ANSWERER, hex, OPENER } from './index-chains.ts'
import { nameRules } from './name-rules.ts'
import { declaredSets } from './ruleset-sets.ts'

/** A chain of the table: its hook, if it has one, and its rules. */
interface Chain {
  readonly name: string
  readonly hook?: string
  /** Only there while some network has an index: each chain costs every packet. */
  readonly indexed?: true
  readonly rules: readonly string[]
}

/** The chains that always stand, and those for networks with an index. */
function chainsOf(want: Ruleset): readonly Chain[] {
  const { endpointGroup, packetMarkMask, vxlanPort, indexed } = want
  const marks = packetMarks(packetMarkMask)
  const from = `meta iifgroup ${MARK.gatewayGroup}`
  const to = `meta oifgroup ${MARK.gatewayGroup}`
  const elsewhere = `meta iifgroup != ${MARK.gatewayGroup}`
  const probes = `iifname "${MARK.probeDevice}"`
  const index = `meta mark & ${hex(marks.indexMask)}`
  const clear = (bits: number): string => `meta mark set meta mark & ${hex(~bits)}`
  const pass = `meta mark set meta mark | ${hex(marks.passed)}`
  // True of all connections where no network has an index.
  const plain = indexed ? `ct mark & ${hex(OPENER | ANSWERER)} == 0` : ''
  const names = nameRules(want.resolver)
  return [
    {
      name: 'zone',
      hook: 'type filter hook prerouting priority -300',
      indexed: true,
      rules: [`${from} ${index} vmap @zones`],
    },
    {
      name: 'check',
      hook: 'type filter hook prerouting priority -160',
      rules: [
        // The usual packet: of a connection that was looked at, without any index, by way of the program.
        `${from} ct state established ${plain} meta mark ${hex(marks.unchecked)} meta mark set ${hex(marks.passed)} accept`,
        'meta iifgroup 0 accept',
        // The belt (R7): endpoint devices never reach the stack, nor do gateways but by the program.
        `meta iifgroup { ${endpointGroup}, ${MARK.gatewayPeerGroup} } counter drop`,
        `${elsewhere} accept`,
        `meta mark & ${hex(marks.unchecked)} == 0 counter drop`,
        // What conntrack does not know it neither translates nor tells apart (R13).
        'ct state invalid,untracked counter drop',
        'iifname . ip daddr != @own4 ip daddr @gateways4 counter drop',
        'iifname . ip6 daddr != @own6 ip6 daddr @gateways6 counter drop',
        'ip daddr 127.0.0.0/8 counter drop',
        'ip6 daddr ::1 counter drop',
        ...names.check,
        `${clear(marks.unchecked)}`,
        ...(indexed
          ? [
              `${index} vmap @sources`,
              `ct direction reply ct mark & ${hex(ANSWERER)} @taken counter drop`,
            ]
          : []),
      ],
    },
    {
      name: 'dstnat',
      hook: 'type nat hook prerouting priority -100',
      rules: [
        ...names.lead,
        'fib daddr type local jump publications',
        'iifname @loopback ip daddr @gateways4 dnat ip to 127.0.0.1',
      ],
    },
    {
      name: 'towards',
      hook: 'type filter hook prerouting priority -90',
      indexed: true,
      rules: [
        `ct mark & ${hex(OPENER | ANSWERER)} == 0 ${index} == 0 accept`,
        // The host itself answers, by the way that the question came.
        ...names.at.map((at) => `${from} ${at} accept`),
        `ct direction reply ct mark & ${hex(OPENER)} vmap @openers`,
        `ct direction reply ${clear(marks.indexMask)} accept`,
        // An error about such a packet would be told by the mark of the wrong side.
        `${from} ct status dnat ip ttl 1 counter drop`,
        `${from} ct status dnat ip6 hoplimit 1 counter drop`,
        `ct status dnat ct mark & ${hex(ANSWERER)} vmap @answerers`,
        `ct status dnat ${clear(marks.indexMask)}`,
      ],
    },
    { name: 'names', rules: names.translate },
    {
      name: 'publications',
      rules: [
        'ip daddr . meta l4proto . th dport vmap @marks4_at',
        'dnat ip to ip daddr . meta l4proto . th dport map @ports4_at',
        'meta nfproto ipv4 meta l4proto . th dport vmap @marks4_any',
        'meta nfproto ipv4 dnat ip to meta l4proto . th dport map @ports4_any',
        'ip6 daddr . meta l4proto . th dport vmap @marks6_at',
        'dnat ip6 to ip6 daddr . meta l4proto . th dport map @ports6_at',
        'meta nfproto ipv6 meta l4proto . th dport vmap @marks6_any',
        'meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @ports6_any',
      ],
    },
    {
      name: 'forward',
      hook: 'type filter hook forward priority -10',
      rules: [
        `${from} goto from_network`,
        `${to} goto into_network`,
        'meta nfproto ipv4 iifname @opened4 counter drop',
        'meta nfproto ipv6 iifname @opened6 counter drop',
      ],
    },
    {
      name: 'from_network',
      rules: [
        // The usual packet again, as `check` has left it; a network that is closed but for names has an index.
        `meta mark ${hex(marks.passed)} accept`,
        `ct state established,related ${index} == 0 goto pass`,
        'iifname @internal counter drop',
        'ct state established,related goto pass',
        'ct state invalid,untracked counter drop',
        `${to} ct status dnat goto pass`,
        `${to} counter drop`,
        'goto pass',
      ],
    },
    {
      name: 'into_network',
      rules: [
        `ct state established,related ${plain} ${pass} accept`,
        'oifname @internal counter drop',
        'ct state established,related goto pass',
        // Nobody outside has an address of the inside.
        'oifname . ip saddr @inside4 counter drop',
        'oifname . ip6 saddr @inside6 counter drop',
        'ct status dnat goto pass',
        'oifname . ip daddr @routed4 goto pass',
        'oifname . ip6 daddr @routed6 goto pass',
        'counter drop',
      ],
    },
    { name: 'pass', rules: [`${pass} accept`] },
    {
      name: 'input',
      hook: 'type filter hook input priority -10',
      rules: [
        `${elsewhere} udp dport ${vxlanPort} ${pass}`,
        // The doors behind port 53 are for what was led there.
        ...names.at.map((at) => `${at} ct status dnat ${pass} accept`),
        ...names.at.map((at) => `${at} counter drop`),
        `${from} iifname @internal counter drop`,
        // Other hosts ask there what passes between them and this one, and nothing else.
        `${probes} udp dport ${PROBE_PORT} ${pass} accept`,
        `${probes} tcp dport ${PROBE_PORT} ${pass} accept`,
        `${probes} ct state established,related ${pass} accept`,
        `${probes} counter drop`,
      ],
    },
    // Without rules: so that equal tuples of two networks with equal prefixes get ports of their own here.
    { name: 'distinct', hook: 'type nat hook input priority 100', rules: [] },
    // The host's own connections by a gateway with an index are in its zone too: it may have an equal one.
    {
      name: 'own',
      hook: 'type filter hook output priority -300',
      indexed: true,
      rules: ['oifname vmap @output_zones'],
    },
    {
      name: 'output',
      hook: 'type route hook output priority -150',
      rules: [
        `${to} jump from_host`,
        ...(indexed
          ? [
              `ct direction reply ct mark & ${hex(OPENER)} vmap @openers`,
              `ct direction original ct mark & ${hex(ANSWERER)} vmap @answerers`,
              'ct state new oifname vmap @outputs',
            ]
          : []),
      ],
    },
    {
      name: 'from_host',
      rules: [
        'oifname @internal ct direction original counter drop',
        'icmp type redirect counter drop',
        'icmpv6 type nd-redirect counter drop',
        'ip saddr 127.0.0.0/8 oifname != @loopback counter drop',
        'ip6 saddr ::1 counter drop',
      ],
    },
    {
      // Here and not behind routing, where all that is forwarded would meet it too.
      name: 'sent',
      hook: 'type filter hook output priority 0',
      rules: [
        `${to} ${pass} accept`,
        ...(indexed ? [`${index} != 0 ${pass} accept`] : []),
        `ct direction original ct status dnat ${pass}`,
      ],
    },
    {
      name: 'local',
      hook: 'type nat hook output priority -100',
      rules: [
        // Loopback clients are served where they connect (R16).
        'ip daddr 127.0.0.0/8 accept',
        'ip6 daddr ::1 accept',
        ...names.lead,
        'fib daddr type local jump publications',
      ],
    },
    {
      name: 'srcnat',
      hook: 'type nat hook postrouting priority 100',
      rules: [
        `${from} ${to} snat ip to oifname map @hairpin4`,
        `${from} ${to} snat ip6 to oifname map @hairpin6`,
        `${to} accept`,
        'iifname . ip saddr @routed4 accept',
        'iifname . ip6 saddr @routed6 accept',
        `${from} masquerade`,
      ],
    },
  ]
}

/** The whole table, in place of the rules that stand and without touching any element. */
export function rulesetText(want: Ruleset): string {
  const every = chainsOf(want)
  const chains = every.filter((chain) => want.indexed || chain.indexed === undefined)
  const idle = every.filter((chain) => !chains.includes(chain))
  const table = `inet ${want.table}`
  const added = ({ name, hook }: Chain): string =>
    `add chain ${table} ${name}${hook === undefined ? '' : ` { ${hook}; policy accept; }`}`
  return [
    `add table ${table}`,
    ...idle.flatMap(({ name }) => [
      ...[`add chain ${table} ${name}`, `flush chain ${table} ${name}`],
      `delete chain ${table} ${name}`,
    ]),
    ...chains.map(added),
    ...chains.map(({ name }) => `flush chain ${table} ${name}`),
    `table ${table} {`,
    ...declaredSets().map((set) => `  ${set}`),
    ...chains.flatMap(({ name, rules }) => [
      `  chain ${name} {`,
      ...rules.map((rule) => `    ${rule}`),
      '  }',
    ]),
    '}',
    ...arpBelt(want),
    '',
  ].join('\n')
}

/** Where the host would answer ARP: not for endpoint devices. */
function arpBelt({ table, endpointGroup, resolver }: Ruleset): readonly string[] {
  const everyHosts = resolver?.addresses.filter((address) => familyOf(address) === 4) ?? []
  const place = `arp ${table}`
  return [
    `add table ${place}`,
    `add chain ${place} endpoints { type filter hook input priority 0; policy accept; }`,
    `flush chain ${place} endpoints`,
    `table ${place} {`,
    '  chain endpoints {',
    `    meta iifgroup ${endpointGroup} counter drop`,
    // Every host has it: nobody shall be told that it is this one's.
    ...everyHosts.map((address) => `    arp daddr ip ${address} counter drop`),
    '  }',
    '}',
  ]
}
