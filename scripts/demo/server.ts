/**
 * What runs in a server container of the demo: HTTP that tells its name and who asked, or at /overflows how
 * many datagrams found no room, a TCP sink, a TCP echo, and a UDP counter that answers every datagram with the
 * number it carried.
 */

import { createSocket } from 'node:dgram'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { countOverflows } from './overflows.ts'
import { PORTS } from './ports.ts'

const name = process.argv[2] ?? 'server'

createHttpServer((request, response) => {
  const answer =
    request.url === '/overflows' ? countOverflows() : { name, client: request.socket.remoteAddress }
  response.end(JSON.stringify(answer))
}).listen(PORTS.http, '::')

createServer((socket) => {
  socket.on('error', () => socket.destroy())
  let bytes = 0
  socket.on('data', (chunk) => {
    bytes += chunk.length
  })
  socket.on('end', () => socket.end(`${bytes}`))
}).listen({ port: PORTS.sink, host: '::', allowHalfOpen: true })

createServer((socket) => {
  socket.setNoDelay(true)
  socket.on('error', () => socket.destroy())
  socket.pipe(socket)
}).listen(PORTS.echo, '::')

const udp = createSocket('udp6')
udp.on('message', (message, from) => udp.send(message, from.port, from.address))
udp.bind(PORTS.udp, '::', () => console.log('ready'))
