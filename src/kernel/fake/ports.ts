/** Ports of the fake kernel: held by number, one holder for each protocol. */
import { type IP, parseIP } from '../../net/ip.ts'
import type { NewPortSocket, Ports } from '../ports.ts'
import { refuse } from './calls.ts'
import type { FakeNamespace } from './state.ts'

/** The first port that is handed out for 0. */
const FIRST_FREE = 32_768

export function fakePorts(own: FakeNamespace): Ports {
  const inTheWay = (want: NewPortSocket, port: number) =>
    [...own.sockets].some(
      (each) =>
        each.protocol === want.protocol &&
        each.port === port &&
        (each.address === undefined || want.address === undefined || each.address === want.address),
    )
  return {
    hold(want) {
      let port = want.port || FIRST_FREE
      while (want.port === 0 && inTheWay(want, port)) port++
      if (inTheWay(want, port)) refuse('bind a socket', 'EADDRINUSE')
      const socket = { ...want, port }
      own.sockets.add(socket)
      return { port, close: () => void own.sockets.delete(socket) }
    },
    listAt: (protocol, port) =>
      [...own.sockets]
        .filter((each) => each.protocol === protocol && each.port === port)
        .map(({ address }) => ({ family: 4, address: address ?? everyAddress(), port, inode: 0 })),
  }
}

function everyAddress(): IP {
  const address = parseIP('0.0.0.0')
  if (address === undefined) throw new Error('the zero address does not parse')
  return address
}
