/**
 * What may be published: reads `[ADDRESS:][HOSTPORT:]PORT[/PROTOCOL]`, or the same in fields, and checks it
 * against the network. Pure: whether a port is free is for `port-holder.ts`.
 */

import type { FieldError } from '../lib/errors.ts'
import { nearest } from '../lib/nearest.ts'
import type { Network } from '../model/network.ts'
import { HIGHEST_PORT, hostPortsOverlap, hostPortsText, PROTOCOLS } from '../model/publication.ts'
import { type Family, familyOf, type IP, parseIP } from '../net/ip.ts'
import type { TransportProtocol } from '../net/protocol.ts'
import type { PortWish } from './control.ts'

export interface CheckedPort {
  readonly protocol: TransportProtocol
  /** Undefined: every address of the host; `0.0.0.0` or `::`: every one of that family. */
  readonly hostAddress: IP | undefined
  /** First port of the host; 0: any that is free. */
  readonly hostPort: number
  readonly containerPort: number
  readonly count: number
}

export type PortRead =
  | { readonly ok: true; readonly port: CheckedPort }
  | { readonly ok: false; readonly problem: string }

export interface PortsContext {
  readonly network: Network
  /** Of the endpoint's addresses. */
  readonly families: ReadonlySet<Family>
  /** JSON pointer of the list of wishes; each is told as `<pointer>/<index>`. */
  readonly pointer: string
}

/** The checked wishes; what is wrong with the others is added to `fields`. */
export function checkPorts(
  wishes: readonly (string | PortWish)[],
  { network, families, pointer }: PortsContext,
  fields: FieldError[],
): readonly CheckedPort[] {
  const checked: CheckedPort[] = []
  for (const [i, wish] of wishes.entries()) {
    const read = typeof wish === 'string' ? readPort(wish) : checkWish(wish)
    const problem = read.ok ? placeProblem(read.port, network, families, checked) : read.problem
    if (problem !== undefined) fields.push({ pointer: `${pointer}/${i}`, message: problem })
    else if (read.ok) checked.push(read.port)
  }
  return checked
}

/** Reads what a user typed. */
export function readPort(text: string): PortRead {
  const parts = splitPort(text)
  if (parts === undefined) {
    return wrong(
      `"${text}" is not [ADDRESS:][HOSTPORT:]PORT[/PROTOCOL], with an IPv6 address in brackets`,
    )
  }
  const host = readRange(parts.host)
  const container = readRange(parts.container)
  for (const range of [host, container]) {
    if ('problem' in range) return wrong(`"${text}" cannot be published: ${range.problem}`)
  }
  if ('problem' in host || 'problem' in container) throw new Error('a wrong range was let through')
  if (host.first !== 0 && host.count !== container.count) {
    return wrong(
      `"${text}" has ${host.count} of the host's ports for ${container.count} of the container's: give as many of both`,
    )
  }
  return checkWish({
    ...(parts.address === undefined ? {} : { hostAddress: parts.address }),
    ...(parts.protocol === undefined ? {} : { protocol: parts.protocol }),
    hostPort: host.first,
    containerPort: container.first,
    count: container.count,
  })
}

interface Parts {
  readonly address: string | undefined
  readonly host: string
  readonly container: string
  readonly protocol: string | undefined
}

/** The pieces, unread; undefined when they cannot be told apart. */
function splitPort(text: string): Parts | undefined {
  const [places = '', protocol, ...more] = text.split('/')
  if (more.length > 0) return undefined
  const inBrackets = /^\[([^\]]*)\]:(.*)$/.exec(places)
  const pieces = (inBrackets?.[2] ?? places).split(':')
  const container = pieces.pop() ?? ''
  const beginsWithAddress = pieces.length === 2 || pieces[0]?.includes('.') === true
  const address = inBrackets?.[1] ?? (beginsWithAddress ? pieces.shift() : undefined)
  const [host = '', ...rest] = pieces
  if (rest.length > 0) return undefined
  return { address, host: host === '' ? '0' : host, container, protocol }
}

type Range = { readonly first: number; readonly count: number } | { readonly problem: string }

function readRange(text: string): Range {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text)
  if (match === null) return { problem: `"${text}" is neither a port nor a range of ports` }
  const first = Number(match[1])
  if (match[2] === undefined) return { first, count: 1 }
  const last = Number(match[2])
  if (first === 0) {
    return {
      problem: `${text} begins with port 0: one 0 stands for as many free ports as are needed`,
    }
  }
  if (last < first) return { problem: `${text} runs backwards` }
  return { first, count: last - first + 1 }
}

function checkWish(wish: PortWish): PortRead {
  const { hostAddress, protocol = 'tcp', hostPort = 0, containerPort, count = 1 } = wish
  const known = PROTOCOLS.find((each) => each === protocol.toLowerCase())
  if (known === undefined) {
    const meant = nearest(protocol, PROTOCOLS)
    const help = meant === undefined ? `one of ${PROTOCOLS.join(', ')}` : `perhaps "${meant}"`
    return wrong(`there is no protocol "${protocol}" with ports: ${help} was meant`)
  }
  if (!Number.isInteger(count) || count < 1) return wrong(`${count} is no number of ports`)
  if (containerPort === 0) {
    return wrong("port 0 of a container is none: only the host's may be 0, for any that is free")
  }
  const ports = [containerPort, containerPort + count - 1]
  if (hostPort !== 0) ports.push(hostPort, hostPort + count - 1)
  const bad = ports.find((port) => !Number.isInteger(port) || port < 1 || port > HIGHEST_PORT)
  if (bad !== undefined) return wrong(`port ${bad} is not between 1 and ${HIGHEST_PORT}`)
  const address = hostAddress === undefined ? undefined : parseIP(hostAddress)
  if (hostAddress !== undefined && address === undefined) {
    return wrong(`"${hostAddress}" is not an address`)
  }
  return {
    ok: true,
    port: { protocol: known, hostAddress: address, hostPort, containerPort, count },
  }
}

/** Why the port cannot lead there, or not beside the others; undefined when it can. */
function placeProblem(
  port: CheckedPort,
  network: Network,
  families: ReadonlySet<Family>,
  others: readonly CheckedPort[],
): string | undefined {
  if (network.internal) {
    return `network ${network.name} is internal: nothing reaches it from outside`
  }
  const { hostAddress } = port
  if (hostAddress !== undefined && !families.has(familyOf(hostAddress))) {
    const has = [...families].map((family) => `IPv${family}`).join(' and ')
    return `${hostAddress} is an IPv${familyOf(hostAddress)} address, and the endpoint has ${has} only`
  }
  if (port.hostPort === 0) return undefined
  const same = others.find((other) => other.hostPort !== 0 && hostPortsOverlap(other, port))
  return same && `${hostPortsText(port)} is wanted twice: once as ${hostPortsText(same)}`
}

function wrong(problem: string): PortRead {
  return { ok: false, problem }
}
