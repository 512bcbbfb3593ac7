import { expect, test } from 'bun:test'
import type { IP } from '../../net/ip.ts'
import { ip } from '../../net/testing.ts'
import { writeQuestion } from './messages.ts'
import { type Mailbox, Post, type Sending } from './post.ts'

const PORT = 7442
const [one, two, stranger] = [ip('192.0.2.1'), ip('192.0.2.2'), ip('203.0.113.9')]
const HOW: Sending = { sumNow: false, inPieces: false }

type Receive = (datagram: Uint8Array, from: IP, port: number) => void

/** A wire in memory that carries what is not larger than `mostBytes`. */
class Wire {
  readonly boxes = new Map<IP, Receive>()
  readonly sent: { readonly to: IP; readonly bytes: number }[] = []
  mostBytes = 2000
  changes = (datagram: Uint8Array): Uint8Array => datagram

  open = async (address: IP, onDatagram: Receive): Promise<Mailbox> => {
    this.boxes.set(address, onDatagram)
    return {
      send: (datagram, to, port) => {
        this.sent.push({ to, bytes: datagram.length })
        if (datagram.length > this.mostBytes) return true
        queueMicrotask(() => this.boxes.get(to)?.(this.changes(datagram), address, port))
        return true
      },
      [Symbol.dispose]: () => void this.boxes.delete(address),
    }
  }
}

async function postAt(wire: Wire, address: IP, onNews: (body: Uint8Array) => void = () => {}) {
  let number = 1
  const isMember = (from: IP): boolean => from === one || from === two
  const post = new Post({ open: wire.open, port: PORT, isMember, onNews, random: () => number++ })
  await post.open(address)
  return post
}

test('a question that arrives whole is answered', async () => {
  const wire = new Wire()
  using asker = await postAt(wire, one)
  using _asked = await postAt(wire, two)
  expect(await asker.ask(one, two, 1400, HOW, 5_000)).toBe(true)
  expect(wire.sent.map(({ bytes }) => bytes)).toEqual([1400, 16])
})

test('a question that was changed on the way counts as not arrived', async () => {
  const wire = new Wire()
  using asker = await postAt(wire, one)
  using _asked = await postAt(wire, two)
  wire.changes = (datagram) => {
    const changed = datagram.slice()
    if (changed.length > 100) changed[99] = 255 - (changed[99] ?? 0)
    return changed
  }
  expect(await asker.ask(one, two, 1400, HOW, 5_000)).toBe(false)
})

test('a question without an answer is given up in time', async () => {
  const wire = new Wire()
  wire.mostBytes = 1000
  using asker = await postAt(wire, one)
  using _asked = await postAt(wire, two)
  expect(await asker.ask(one, two, 1400, HOW, 10)).toBe(false)
  expect(await asker.ask(one, two, 1000, HOW, 5_000)).toBe(true)
})

test('nothing is asked from where there is no socket', async () => {
  const wire = new Wire()
  using asker = await postAt(wire, one)
  expect(await asker.ask(two, one, 100, HOW, 5_000)).toBe(false)
})

test('strangers are not answered, whatever they send', async () => {
  const wire = new Wire()
  using _asked = await postAt(wire, two)
  const box = await wire.open(stranger, () => {})
  box.send(writeQuestion(1, 500), two, PORT, HOW)
  box.send(new Uint8Array(0), two, PORT, HOW)
  await Promise.resolve()
  expect(wire.sent.filter(({ to }) => to === stranger)).toEqual([])
})

test('news is heard from anywhere: whoever believes it checks it', async () => {
  const wire = new Wire()
  const heard: string[] = []
  using teller = await postAt(wire, stranger)
  using _listener = await postAt(wire, two, (body) => heard.push(Buffer.from(body).toString()))
  teller.tell(stranger, two, Buffer.from('moved'))
  await Promise.resolve()
  expect(heard).toEqual(['moved'])
})
