/**
 * What runs in a client container of the demo; prints one JSON line.
 *   matrix ADDRESS...       ping and HTTP to every address
 *   fetch ADDRESS PORT      HTTP to one address, or null when nobody answers
 *   stream ADDRESS SECONDS  one TCP stream, bits per second as the receiver counted them
 *   latency ADDRESS SECONDS one-byte round trips over TCP, median in microseconds
 *   udp ADDRESS             numbered datagrams, 1,000 a second, until standard input ends
 */

import { execFile } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { get } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { countOverflows } from './overflows.ts'
import { PORTS } from './ports.ts'

const MOST_AT_ONCE = 16

const [verb, ...args] = process.argv.slice(2)

switch (verb) {
  case 'matrix':
    print(await Promise.all(args.map(probe)))
    break
  case 'fetch':
    print((await fetchName(address(), Number(args[1]))) ?? null)
    break
  case 'stream':
    print({ bitsPerSecond: await stream(address(), seconds()) })
    break
  case 'latency':
    print({ medianUs: await latency(address(), seconds()) })
    break
  case 'udp':
    print(await count(address()))
    break
  default:
    throw new Error(`unknown verb ${verb}`)
}
process.exit(0)

function address(): string {
  const [first] = args
  if (first === undefined) throw new Error('needs an address')
  return first
}

function seconds(): number {
  return Number(args[1] ?? 1)
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}

async function probe(target: string): Promise<{ target: string; ping: boolean; http?: unknown }> {
  const [ping, http] = await Promise.all([pings(target), fetchName(target)])
  return { target, ping, ...(http === undefined ? {} : { http }) }
}

function pings(target: string): Promise<boolean> {
  return new Promise((resolve) => {
    execFile('ping', ['-n', '-c', '1', '-W', '2', target], (error) => resolve(error === null))
  })
}

function fetchName(host: string, port: number = PORTS.http, path = '/'): Promise<unknown> {
  return new Promise((resolve) => {
    const request = get({ host, port, path, timeout: 5000, agent: false }, (response) => {
      let body = ''
      response.on('data', (chunk: Buffer) => {
        body += chunk.toString()
      })
      response.on('end', () => resolve(JSON.parse(body)))
    })
    request.on('timeout', () => request.destroy())
    request.on('error', () => resolve(undefined))
  })
}

function stream(host: string, durationSeconds: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const chunk = Buffer.alloc(256 * 1024)
    const start = performance.now()
    const until = start + durationSeconds * 1000
    let answer = ''
    const socket = connect({ host, port: PORTS.sink, allowHalfOpen: true }, () => {
      const write = (): void => {
        while (performance.now() < until) if (!socket.write(chunk)) return
        socket.off('drain', write)
        socket.end()
      }
      socket.on('drain', write)
      write()
    })
    socket.on('data', (data) => {
      answer += data.toString()
    })
    socket.on('end', () => {
      resolve((Number(answer) * 8) / ((performance.now() - start) / 1000))
    })
    socket.on('error', reject)
  })
}

function latency(host: string, durationSeconds: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const until = performance.now() + durationSeconds * 1000
    const times: number[] = []
    let sent = 0
    const socket = connect({ host, port: PORTS.echo }, () => {
      socket.setNoDelay(true)
      sent = performance.now()
      socket.write('x')
    })
    socket.on('data', () => {
      const now = performance.now()
      times.push(now - sent)
      if (now > until) {
        socket.destroy()
        resolve((times.sort((a, b) => a - b)[times.length >> 1] ?? 0) * 1000)
        return
      }
      sent = performance.now()
      socket.write('x')
    })
    socket.on('error', reject)
  })
}

/**
 * Sends a number a millisecond and counts the answers; a second's grace for the last ones. When this process
 * itself was held up it catches up a little at a time. Lost is what no network brought: what arrived while the
 * other process, or this one, had no turn for so long that a socket's buffer was full, the kernel counts.
 */
async function count(host: string): Promise<{ sent: number; lost: number; overflowed: number }> {
  const overflows = async (): Promise<number> =>
    countOverflows() + Number((await fetchName(host, PORTS.http, '/overflows')) ?? 0)
  const before = await overflows()
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  const missing = new Set<number>()
  socket.on('message', (message) => missing.delete(message.readUInt32BE(0)))
  let running = true
  process.stdin.on('end', () => {
    running = false
  })
  process.stdin.resume()
  process.stderr.write('sending\n')
  let sent = 0
  for (const start = performance.now(); running; await pause(1)) {
    const due = Math.min(performance.now() - start, sent + MOST_AT_ONCE)
    for (; sent < due; sent++) {
      const message = Buffer.alloc(18)
      message.writeUInt32BE(sent, 0)
      missing.add(sent)
      socket.send(message, PORTS.udp, host)
    }
  }
  for (let waited = 0; missing.size > 0 && waited < 1000; waited += 10) await pause(10)
  socket.close()
  const overflowed = missing.size === 0 ? 0 : (await overflows()) - before
  return { sent, lost: Math.max(0, missing.size - overflowed), overflowed }
}
