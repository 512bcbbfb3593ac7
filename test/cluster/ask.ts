/** Questions for names as a container asks them, by UDP or TCP, and a resolver of the world outside. */

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as dnsPacket from 'dns-packet'
import { Frames, frame } from '../../src/dns/frames.ts'
import type { Cluster } from '../../src/lab/cluster.ts'
import type { LabContainer } from '../../src/lab/lab.ts'
import { familyOf, type IP, parseIP } from '../../src/net/ip.ts'
import { ip } from '../../src/net/testing.ts'
import { openSocket } from '../kernel/datapath/sockets.ts'
import { until } from './harness.ts'

export const RESOLVER4 = ip('169.254.77.53')
export const RESOLVER6 = ip('fd3b:ca44:1c53::53')
const FAKE_RESOLVER = join(import.meta.dirname, 'fake-resolver.ts')
const LOG = '/run/fake-resolver.log'

/** Who asks: by where the namespace is pinned. */
export type Pin = Pick<LabContainer, 'pin'>

export interface Asking {
  readonly type?: dnsPacket.RecordType
  readonly at?: IP
  readonly transport?: 'udp' | 'tcp'
  readonly port?: number
  /** How long to wait; for what is not to be answered, little. */
  readonly waitMs?: number
}

/** `NOERROR`, `NXDOMAIN`, … with the data of all records, sorted; `silence` when nobody answers. */
export function ask(from: Pin, name: string, asking: Asking = {}): string {
  const packet = askWhole(from, name, asking)
  if (packet === undefined) return 'silence'
  const data = (packet.answers ?? []).flatMap((each) =>
    'data' in each ? [canonical(`${each.data}`)] : [],
  )
  const { rcode } = packet as unknown as { readonly rcode: string }
  return [rcode, ...data.sort()].join(' ')
}

export function askWhole(
  { pin }: Pin,
  name: string,
  { type = 'A', at = RESOLVER4, transport = 'udp', port = 53, waitMs = 3_000 }: Asking,
): dnsPacket.DecodedPacket | undefined {
  const id = 1 + Math.floor(Math.random() * 0xfffe)
  const query = dnsPacket.encode({
    type: 'query',
    id,
    flags: dnsPacket.RECURSION_DESIRED,
    questions: [{ type, name }],
  })
  using socket = openSocket({ path: pin }, transport, at).timeout(waitMs)
  if (!socket.connect(at, port)) return undefined
  socket.send(transport === 'tcp' ? frame(query) : query)
  const frames = new Frames()
  for (;;) {
    const received = socket.receive(new Uint8Array(1 << 16))
    if (received === undefined || received.length === 0) return undefined
    const [message] = transport === 'tcp' ? frames.take(received) : [received]
    if (message === undefined) continue
    const answer = dnsPacket.decode(Buffer.from(message))
    if (answer.id === id) return answer
  }
}

/** The library prints IPv6 addresses in its own way. */
function canonical(data: string): string {
  return parseIP(data) ?? data
}

/** The resolver's address of the family of an address. */
export function resolverFor(address: string): IP {
  return familyOf(ip(address)) === 4 ? RESOLVER4 : RESOLVER6
}

/** A resolver on a host of the lab that knows `*.example.org` and nothing else. */
export async function startFakeResolver(
  { lab }: Cluster,
  host: string,
  address: string,
): Promise<{ asked(): readonly string[]; stop(): Promise<void> }> {
  const command = ['sh', '-c', `exec "$@" >${LOG}`, 'sh', process.execPath, FAKE_RESOLVER, address]
  const child: ChildProcess = lab.spawn(host, command, { stdio: ['ignore', 'ignore', 'inherit'] })
  const lines = (): readonly string[] => {
    const path = lab.outside(host, LOG)
    return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : []
  }
  await until('the fake resolver listens', () => lines().includes('ready'))
  return {
    asked: () => lines().filter((line) => line !== 'ready'),
    async stop() {
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    },
  }
}
