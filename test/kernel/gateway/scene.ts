/**
 * A host with its dataplane, containers on it, and a machine outside that knows the host's address and none of
 * any network: all of them namespaces of the test.
 */

import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DropCounter } from '../../../src/dataplane/dataplane.ts'
import type { Failure, ObjectChange, Repair } from '../../../src/dataplane/reconcile.ts'
import type { Kind } from '../../../src/hoststate/state.ts'
import type { Block } from '../../../src/model/block.ts'
import type { Endpoint } from '../../../src/model/endpoint.ts'
import type { Network } from '../../../src/model/network.ts'
import type { Publication } from '../../../src/model/publication.ts'
import { planObjects, type Snapshot } from '../../../src/plan/plan.ts'
import { endpointOf, engineEndpointOf, hostOf, snapshotOf } from '../../../src/plan/testing.ts'
import { Namespace } from '../datapath/wire.ts'
import { type AgentRequest, RUN } from './agent-request.ts'

const DEADLINE_MS = 10_000

/** Addresses of the host and of the machine outside, on the wire between them. */
export const HOST = { 4: '192.0.2.1', 6: '2001:db8::1' } as const
export const OUTSIDE = { 4: '192.0.2.9', 6: '2001:db8::9' } as const

/** What the machine outside counts. */
const LEAKS = `table inet ckt {
  counter leaks { }
  chain seen {
    type filter hook prerouting priority -400;
    ip saddr { 10.80.0.0/12 } counter name leaks
    ip daddr { 10.80.0.0/12 } counter name leaks
    ip6 saddr { fd80::/12 } counter name leaks
    ip6 daddr { fd80::/12 } counter name leaks
  }
}`

/** Waits for what the dataplane does by itself. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`never: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** A container: its namespace, and its record. */
export interface Container {
  readonly ns: Namespace
  readonly endpoint: Endpoint
}

export class Scene implements AsyncDisposable {
  readonly host = new Namespace()
  readonly outside = new Namespace()
  readonly self = hostOf(1, HOST[4], HOST[6])
  readonly containers: Container[] = []
  /** Those of an engine; a test may change them. */
  readonly plugged: Container[] = []
  readonly #directory = mkdtempSync(join(tmpdir(), `ckt-gateway-${process.pid}-`))
  readonly #pins = join(this.#directory, 'bpf')
  /** All that were made, also for containers that a test has taken away. */
  readonly #namespaces: Namespace[] = []
  readonly #waiting: ((line: string) => void)[] = []
  #agent: ChildProcessWithoutNullStreams | undefined
  #networks: readonly Network[] = []
  #blocks: readonly Block[] = []
  #publications: readonly Publication[] = []
  #known = new Map<string, string>()

  constructor() {
    mkdirSync(this.#pins)
    execFileSync('mount', ['-t', 'bpf', 'bpf', this.#pins])
    this.host.run(
      'ip link set lo up',
      `ip link add eth0 type veth peer name eth0 netns ${this.outside.name}`,
      'ip link set eth0 addrgenmode none up',
      `ip addr add ${HOST[4]}/24 dev eth0`,
      `ip addr add ${HOST[6]}/64 dev eth0 nodad`,
      `ip route add default via ${OUTSIDE[4]}`,
    )
    this.outside.run(
      'ip link set lo up',
      'ip link set eth0 addrgenmode none up',
      `ip addr add ${OUTSIDE[4]}/24 dev eth0`,
      `ip addr add ${OUTSIDE[6]}/64 dev eth0 nodad`,
    )
    this.host.run(`ip -6 route add default via ${OUTSIDE[6]}`)
    this.outside.run(`nft '${LEAKS}'`)
  }

  /** Where the dataplane remembers what it changed. */
  get settingsFile(): string {
    return join(this.#directory, 'forwarding.json')
  }

  /** Where what is pinned is to be seen. */
  get pins(): string {
    return this.#pins
  }

  /** Packets that the machine outside saw from an address of a network, or for one. */
  leaked(): number {
    const listed = JSON.parse(this.outside.run('nft -j list counter inet ckt leaks')) as {
      nftables: { counter?: { packets: number } }[]
    }
    return listed.nftables.find(({ counter }) => counter !== undefined)?.counter?.packets ?? -1
  }

  /** Adds a container; it is attached by the next `update`. */
  container(name: string, network: Network, addresses: readonly string[]): Container {
    const ns = this.#namespace()
    ns.run('ip link set lo up')
    const sandbox = { path: ns.path, inode: statSync(ns.path).ino }
    const record = endpointOf(name, network, this.self, addresses)
    const made = { ns, endpoint: { ...record, sandbox } }
    this.containers.push(made)
    return made
  }

  /** Adds an endpoint of an engine, and the namespace of the container that is to get its end. */
  plug(name: string, network: Network, addresses: readonly string[]): Container {
    const record = engineEndpointOf(name, network, this.self, addresses)
    const made = { ns: this.#namespace(), endpoint: { ...record, run: RUN } }
    this.plugged.push(made)
    return made
  }

  /** Makes the kernel agree with these networks and blocks, and all containers made so far. */
  async update(
    networks: readonly Network[],
    blocks: readonly Block[] = [],
    publications: readonly Publication[] = [],
  ): Promise<void> {
    this.#networks = networks
    this.#blocks = blocks
    this.#publications = publications
    const first = this.#agent === undefined
    const objects = new Map(planObjects(this.#snapshot()))
    const changes: ObjectChange[] = []
    for (const [object, wanted] of objects) {
      const text = JSON.stringify(wanted)
      if (this.#known.get(object) !== text) changes.push({ object, wanted })
      this.#known.set(object, text)
    }
    for (const object of this.#known.keys()) {
      if (objects.has(object)) continue
      changes.push({ object, wanted: [] })
      this.#known.delete(object)
    }
    const failures = await this.#ask<readonly Failure[]>({
      kind: first ? 'resync' : 'apply',
      changes,
    })
    if (failures.length > 0) throw new Error(JSON.stringify(failures))
    for (const { ns, endpoint } of this.containers) {
      // The kernel makes the local route of an IPv6 address a moment after the address.
      const wanted = endpoint.addresses.filter((address) => address.includes(':'))
      await until('the container has its addresses', () => {
        const local = ns.run('ip -6 route show table local')
        return wanted.every((address) => local.includes(`local ${address} `))
      })
    }
  }

  /** Ends the dataplane's process, as a crash would. */
  async kill(): Promise<void> {
    const agent = this.#agent
    this.#agent = undefined
    this.#known.clear()
    if (agent === undefined) return
    const gone = new Promise((resolve) => agent.once('exit', resolve))
    agent.kill('SIGKILL')
    await gone
  }

  audit(kinds?: readonly Kind[]): Promise<Repair> {
    return this.#ask({ kind: 'audit', ...(kinds === undefined ? {} : { kinds }) })
  }

  /** What the dataplane repaired by itself, by kind. */
  repairs(): Promise<Readonly<Record<string, number>>> {
    return this.#ask({ kind: 'repairs' })
  }

  /** Packets that the programs dropped, by reason. */
  async drops(): Promise<Readonly<Record<string, number>>> {
    const sums: Record<string, number> = {}
    for (const { reason, packets } of await this.#ask<readonly DropCounter[]>({ kind: 'drops' })) {
      sums[reason] = (sums[reason] ?? 0) + packets
    }
    return sums
  }

  #namespace(): Namespace {
    const ns = new Namespace()
    this.#namespaces.push(ns)
    return ns
  }

  #snapshot(): Snapshot {
    const endpoints = [...this.containers, ...this.plugged].map(({ endpoint }) => endpoint)
    return snapshotOf(
      this.self,
      this.#networks,
      endpoints,
      [this.self],
      undefined,
      this.#blocks,
      this.#publications,
    )
  }

  #ask<T>(request: AgentRequest): Promise<T> {
    const agent = this.#agent ?? this.#start()
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const timer = setTimeout(() => reject(new Error(`no answer to ${request.kind}`)), DEADLINE_MS)
    this.#waiting.push((line) => {
      clearTimeout(timer)
      resolve(JSON.parse(line) as T)
    })
    agent.stdin.write(`${JSON.stringify(request)}\n`)
    return promise
  }

  #start(): ChildProcessWithoutNullStreams {
    const script = join(import.meta.dirname, 'agent.ts')
    const agent = spawn('nsenter', [
      `--net=${this.host.path}`,
      process.execPath,
      script,
      this.#pins,
      this.#directory,
    ])
    agent.stderr.pipe(process.stderr)
    let rest = ''
    agent.stdout.on('data', (chunk: Buffer) => {
      const lines = `${rest}${chunk}`.split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) this.#waiting.shift()?.(line)
    })
    this.#agent = agent
    return agent
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
    for (const ns of this.#namespaces) if (existsSync(ns.path)) ns[Symbol.dispose]()
    this.host[Symbol.dispose]()
    this.outside[Symbol.dispose]()
    execFileSync('umount', [this.#pins])
    rmSync(this.#directory, { recursive: true, force: true })
  }
}
