/** The sets and maps of our table, which its rules look in and whose elements come and go by themselves. */

/** Sets and maps whose elements come and go: name and type, in nft's language. */
const SETS = {
  /** Device and address of each gateway. */
  own4: 'ifname . ipv4_addr',
  own6: 'ifname . ipv6_addr',
  /** The same addresses alone: what no other network may reach. */
  gateways4: 'ipv4_addr',
  gateways6: 'ipv6_addr',
  /** Devices that forward only because we said so (R18). */
  opened4: 'ifname',
  opened6: 'ifname',
  /** Gateways by which names are asked for and nothing else. */
  internal: 'ifname',
  /** Gateways by which containers reach the host's loopback. */
  loopback: 'ifname',
  /** Indexes in use, as the answerer's in the conntrack mark. */
  taken: 'mark',
} as const

const INTERVAL_SETS = {
  /** Gateway device and each prefix of its network; those that are routed plainly once more. */
  inside4: 'ifname . ipv4_addr',
  inside6: 'ifname . ipv6_addr',
  routed4: 'ifname . ipv4_addr',
  routed6: 'ifname . ipv6_addr',
} as const

const MAPS = {
  /** Gateway device to the source of what comes in by one gateway and leaves by another, or the same. */
  hairpin4: 'ifname : ipv4_addr',
  hairpin6: 'ifname : ipv6_addr',
  /** Gateway device to where its network's questions for names are answered. */
  resolvers4: 'ifname : ipv4_addr . inet_service',
  resolvers6: 'ifname : ipv6_addr . inet_service',
  /** Index in the packet mark to `goto zone_<i>` and `goto from_<i>`. */
  zones: 'mark : verdict',
  sources: 'mark : verdict',
  /** The opener's, and the answerer's, index in the conntrack mark to `goto route_<i>`. */
  openers: 'mark : verdict',
  answerers: 'mark : verdict',
  /** Gateway device with an index to `goto to_<i>` and `goto zone_<i>`. */
  outputs: 'ifname : verdict',
  output_zones: 'ifname : verdict',
  ports4_at: 'ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service',
  ports6_at: 'ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service',
  ports4_any: 'inet_proto . inet_service : ipv4_addr . inet_service',
  ports6_any: 'inet_proto . inet_service : ipv6_addr . inet_service',
  marks4_at: 'ipv4_addr . inet_proto . inet_service : verdict',
  marks6_at: 'ipv6_addr . inet_proto . inet_service : verdict',
  marks4_any: 'inet_proto . inet_service : verdict',
  marks6_any: 'inet_proto . inet_service : verdict',
} as const

export type SetName = keyof typeof SETS | keyof typeof INTERVAL_SETS
export type MapName = keyof typeof MAPS

/** All of them, as a table declares them. */
export function declaredSets(): readonly string[] {
  return [
    ...Object.entries(SETS).map(([name, type]) => `set ${name} { type ${type}; }`),
    ...Object.entries(INTERVAL_SETS).map(
      ([name, type]) => `set ${name} { type ${type}; flags interval; }`,
    ),
    ...Object.entries(MAPS).map(([name, type]) => `map ${name} { type ${type}; }`),
  ]
}

/** True for maps, false for sets. */
export function isMapName(name: SetName | MapName): name is MapName {
  return name in MAPS
}
