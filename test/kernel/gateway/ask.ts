/** Questions by datagram and by connection between two namespaces: who was seen asking, and who answered. */

import { ip } from '../../../src/net/testing.ts'
import { openSocket, type Place, type Socket } from '../datapath/sockets.ts'

const SO = { LEVEL: 1, REUSEADDR: 2 } as const
const encode = (text: string): Uint8Array => new TextEncoder().encode(text)
const decode = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : new TextDecoder().decode(bytes)

/** A place that answers, by its namespace and the address and port to bind. */
export interface Server {
  readonly ns: Place
  readonly address: string
  readonly port: number
}

/** Who asks, where, and from which port. */
export interface Client {
  readonly ns: Place
  readonly address: string
  readonly port: number
  /** Where it asks, when that is not where the server binds. */
  readonly to?: { readonly address: string; readonly port: number }
  /** The device it is bound to. */
  readonly device?: string
}

/** Waits no longer than this for what should not arrive. */
export function impatient(socket: Socket): Socket {
  return socket.timeout(300)
}

export function bound(kind: 'tcp' | 'udp', { ns, address, port, device }: Client): Socket {
  const socket = openSocket(ns, kind, ip(address)).option(SO.LEVEL, SO.REUSEADDR, 1)
  if (device !== undefined) socket.bindToDevice(device)
  return socket.bind(ip(address), port)
}

/** `seen` is whom the server saw; both are undefined when a datagram was lost on the way there or back. */
export interface Exchange {
  readonly seen: string | undefined
  readonly answered: boolean
}

/** One datagram there and one back, to the address from which it was seen to come. */
export function askDatagram(client: Client, server: Server, patient = true): Exchange {
  using listening = bound('udp', server)
  using asking = bound('udp', client)
  if (!patient) for (const socket of [listening, asking]) impatient(socket)
  const { address, port } = client.to ?? server
  asking.connect(ip(address), port)
  const question = `question from ${client.address} ${client.port}`
  asking.send(encode(question))
  const heard = listening.receiveFrom()
  if (heard === undefined || decode(heard.bytes) !== question) {
    return { seen: undefined, answered: false }
  }
  const [from = '', fromPort = ''] = heard.from.split(' ')
  listening.sendTo(encode(`answer to ${heard.from}`), ip(from), Number(fromPort))
  const answer = decode(asking.receive(new Uint8Array(200)))
  return { seen: from, answered: answer === `answer to ${heard.from}` }
}

/** One connection, a word there and one back. */
export function askStream(client: Client, server: Server, patient = true): Exchange {
  using listening = bound('tcp', server).listen()
  using asking = bound('tcp', client)
  if (!patient) for (const socket of [listening, asking]) impatient(socket)
  const { address, port } = client.to ?? server
  if (!asking.connect(ip(address), port)) return { seen: undefined, answered: false }
  using accepted = listening.accept()
  const seen = accepted.peer().split(' ')[0]
  asking.send(encode('question'))
  const heard = decode(accepted.receive(new Uint8Array(200)))
  accepted.send(encode('answer'))
  const answer = decode(asking.receive(new Uint8Array(200)))
  return { seen, answered: heard === 'question' && answer === 'answer' }
}
