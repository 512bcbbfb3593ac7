/** A resolver for tests: every name below example.org has one address; others are not there. Tells what it was asked. */

import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'
import * as dnsPacket from 'dns-packet'
import { Frames, frame } from '../../src/dns/frames.ts'

const PORT = 53
/** RFC 5737 */
const ADDRESS = '203.0.113.7'
const NXDOMAIN = 3
const LARGE = 100

function answer(bytes: Uint8Array, transport: string): Uint8Array {
  const { id = 0, questions = [] } = dnsPacket.decode(Buffer.from(bytes))
  const name = questions[0]?.name ?? ''
  console.log(`${transport} ${questions[0]?.type} ${name}`)
  const known = name.endsWith('.example.org')
  const large = name.startsWith('large.')
  const truncated = large && transport === 'udp'
  const count = !known || truncated ? 0 : large ? LARGE : 1
  return dnsPacket.encode({
    type: 'response',
    id,
    flags:
      dnsPacket.RECURSION_AVAILABLE |
      (truncated ? dnsPacket.TRUNCATED_RESPONSE : 0) |
      (known ? 0 : NXDOMAIN),
    questions,
    answers: Array.from({ length: count }, () => ({ type: 'A', name, ttl: 60, data: ADDRESS })),
  })
}

const socket = createSocket('udp4')
socket.on('message', (bytes, { port, address }) => {
  socket.send(answer(bytes, 'udp'), port, address)
})
const server = createServer((stream) => {
  const frames = new Frames()
  stream.on('error', () => stream.destroy())
  stream.on('data', (piece: Buffer) => {
    for (const each of frames.take(piece)) stream.write(frame(answer(each, 'tcp')))
  })
})
const [address = ''] = process.argv.slice(2)
// Of askers who did not wait.
socket.on('error', () => {})
socket.bind(PORT, address, () => server.listen(PORT, address, () => console.log('ready')))
