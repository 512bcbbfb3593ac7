/** Ports on which a server container of the demo listens. */
export const PORTS = { http: 80, sink: 5001, echo: 5002, udp: 5003 } as const
