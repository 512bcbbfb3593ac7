import { expect, test } from 'bun:test'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Connections } from './call.ts'

/** A server that says what it is told to, in the pieces given. */
async function serving(
  say: (socket: Socket, request: string) => void,
  body: (connections: Connections, opened: () => number) => Promise<void>,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), `ckt-call-${process.pid}-`))
  let opened = 0
  const server = createServer((socket) => {
    opened++
    socket.on('data', (chunk) => say(socket, chunk.toString()))
  })
  server.listen(join(directory, 'socket'))
  await once(server, 'listening')
  const connections = new Connections(join(directory, 'socket'))
  try {
    await body(connections, () => opened)
  } finally {
    connections[Symbol.dispose]()
    server.close()
    rmSync(directory, { recursive: true })
  }
}

test('one connection carries one call after another, and calls at once have their own', async () => {
  const answer = (socket: Socket, request: string): void => {
    const body = request.slice(request.indexOf('\r\n\r\n') + 4)
    socket.write('HTTP/1.1 201 Created\r\nContent-')
    setImmediate(() => socket.write(`Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`))
  }
  await serving(answer, async (connections, opened) => {
    expect(await connections.call('POST', '/', 'ä')).toEqual({ status: 201, body: 'ä' })
    expect(await connections.call('GET', '/')).toEqual({ status: 201, body: '' })
    expect(opened()).toBe(1)
    const both = [connections.call('POST', '/', '1'), connections.call('POST', '/', '2')]
    expect((await Promise.all(both)).map(({ body }) => body)).toEqual(['1', '2'])
    expect(opened()).toBe(2)
  })
})

test('an answer that does not come is told', async () => {
  const end = (socket: Socket): void =>
    void socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal')
  await serving(end, async (connections) => {
    await expect(connections.call('GET', '/')).rejects.toThrow('ended before its answer')
  })
  await expect(new Connections('/nowhere/socket').call('GET', '/')).rejects.toThrow('ended before')
})
