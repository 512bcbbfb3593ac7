/** Questions for tests. */

import * as dnsPacket from 'dns-packet'

/** The packet of a question; with `payload` not 0 the asker speaks EDNS. */
export function askingPacket(
  name: string,
  type: dnsPacket.RecordType,
  { id = 7, payload = 0, version = 0 } = {},
): Uint8Array {
  const opt: dnsPacket.Answer = {
    type: 'OPT',
    name: '.',
    udpPayloadSize: payload,
    extendedRcode: 0,
    ednsVersion: version,
    flags: 0,
    flag_do: false,
    options: [],
  }
  return dnsPacket.encode({
    type: 'query',
    id,
    flags: dnsPacket.RECURSION_DESIRED,
    questions: [{ type, name: name === '' ? '.' : name }],
    additionals: payload === 0 ? [] : [opt],
  })
}
