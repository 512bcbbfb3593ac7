/** Transport protocols that have ports. */

export type TransportProtocol = 'tcp' | 'udp' | 'sctp'

/** Their numbers in IP headers. IANA protocol numbers; linux/in.h IPPROTO_* */
export const IPPROTO: Readonly<Record<TransportProtocol, number>> = { tcp: 6, udp: 17, sctp: 132 }
