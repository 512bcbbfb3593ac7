/** A whole host in a test: state, replica, lease and publisher as in the agent, with the use cases on top. */

import { Agent, type AgentOptions, type Scene } from '../agent/scene.ts'
import { FABRIC_MAC } from '../hoststate/state.ts'
import { NetworkError } from '../lib/errors.ts'
import type { ObjectFailure } from '../model/host.ts'
import { RESOLVER4, RESOLVER6 } from '../model/resolver.ts'
import type { AttachSpec, Ports } from './control.ts'
import { type ControlDeps, createControl, type RawDrop } from './create-control.ts'
import type { SandboxView } from './sandbox-view.ts'

/** Waits for `work` while time passes on the scene's clock, at most a minute of it. */
export async function drive<T>(scene: Scene, work: Promise<T>): Promise<T> {
  let over = false
  const end = (): void => {
    over = true
  }
  work.then(end, end)
  await scene.clock.advance(0)
  for (let passed = 0; !over && passed < 60_000; passed += 50) await scene.clock.advance(50)
  if (!over) throw new Error('still at work after a minute')
  return work
}

/** A kernel that agrees with everything, unless told not to. */
export class FakePorts implements Ports {
  readonly held = new Map<number, number>()
  failures: readonly ObjectFailure[] = []
  /** Thrown by the next `settled`. */
  refusal: Error | undefined

  readonly sandboxes: Ports['sandboxes'] = {
    hold: (target) => {
      const path = 'pid' in target ? `/proc/${target.pid}/ns/net` : target.netns
      if (this.gone.has(path))
        throw new NetworkError('not-found', `There is no namespace at ${path}`)
      const inode = inodeOf(path)
      this.held.set(inode, (this.held.get(inode) ?? 0) + 1)
      return { path, inode }
    },
    release: (inode) => void this.held.delete(inode),
  }

  /** Ports that are held, as `tcp 8080` or `tcp 8080 127.0.0.1`; 0 gets 32768 and up. */
  readonly heldPorts = new Set<string>()
  /** Ports that programs have, as `tcp 8080`, with their names: `nginx (pid 4711)`. */
  readonly takenPorts = new Map<string, string>()

  readonly hostPorts: Ports['hostPorts'] = {
    reserve: ({ protocol, address, port: asked, count }) => {
      let port = asked || 32_768
      while (asked === 0 && this.heldPorts.has(`${protocol} ${port}`)) port++
      const names: string[] = []
      for (let i = 0; i < count; i++) {
        const name = `${protocol} ${port + i}`
        const holder = this.takenPorts.get(name)
        if (holder !== undefined) {
          const message = `Cannot use port ${port + i}/${protocol}: it is in use by ${holder}`
          const [program] = holder.split(' ')
          throw new NetworkError('conflict', message, { details: { program } })
        }
        names.push(address === undefined ? name : `${name} ${address}`)
      }
      for (const name of names) this.heldPorts.add(name)
      return {
        port,
        release: () => {
          for (const name of names) this.heldPorts.delete(name)
        },
      }
    },
  }

  /** What is seen in namespaces, by their paths; in others there is nothing. */
  readonly inside = new Map<string, SandboxView>()
  /** Paths of namespaces that are gone. */
  readonly gone = new Set<string>()

  readonly inspector: Ports['inspector'] = {
    inspect: (path) => {
      if (this.gone.has(path))
        throw new NetworkError('not-found', `There is no namespace at ${path}`)
      return this.inside.get(path) ?? { inode: inodeOf(path), link: undefined }
    },
    isOwn: (path) => path === '/proc/self/ns/net',
    isLost: ({ sandbox }) => this.gone.has(sandbox.path),
  }

  readonly shapes: Ports['shapes'] = {
    shapeOf: (endpoint, { vni, internal }) => ({
      mtuBytes: endpoint.mtuBytes ?? 1450,
      hostMac: FABRIC_MAC,
      gateway: internal ? undefined : { device: `ckgw${vni}`, mac: FABRIC_MAC },
    }),
    resolvers: [RESOLVER4, RESOLVER6],
  }

  readonly settler: Ports['settler'] = {
    allSettled: async () => {},
    settled: async () => {
      const { refusal } = this
      this.refusal = undefined
      if (refusal !== undefined) throw refusal
      return this.failures
    },
  }
}

/** The same for the same path, also after a restart. */
function inodeOf(path: string): number {
  let inode = 7
  for (const letter of path) inode = (inode * 31 + letter.charCodeAt(0)) % 2 ** 32
  return inode
}

export interface MemberOptions extends AgentOptions {
  readonly settings?: ControlDeps['settings']
  /** Default: a kernel that agrees with everything. */
  readonly ports?: FakePorts
}

export class Member {
  readonly scene: Scene
  readonly agent: Agent
  readonly control: ReturnType<typeof createControl>
  readonly ports: FakePorts
  drops: readonly RawDrop[] = []
  #sandboxes = 0

  private constructor(scene: Scene, agent: Agent, { settings, ports }: MemberOptions) {
    this.scene = scene
    this.ports = ports ?? new FakePorts()
    this.agent = agent
    const { journal, replica, store, hostId, publisher, lease } = agent
    const { clock, random, log } = scene
    this.control = createControl({
      ...{ store, journal, replica, clock, random, log, hostId, ports: this.ports },
      run: `run-${random(4).join('-')}`,
      caughtUp: publisher.ready,
      distrust: () => lease.distrust() ?? publisher.distrust(),
      reports: {
        version: '0.1.0',
        store: { kind: 'embedded', address: () => 'memory' },
        publishedSequence: () => publisher.publishedSequence,
        settled: () => true,
        driftRepaired: () => ({}),
        failures: () => [],
        warnings: () => [],
        paths: () => [],
      },
      createToken: async () => ({ id: 't', text: 't', expiresAt: '2026-01-01T00:00:00.000Z' }),
      readDrops: async () => this.drops,
      ...(settings === undefined ? {} : { settings }),
    })
  }

  static async start(scene: Scene, options: MemberOptions): Promise<Member> {
    const member = new Member(scene, await Agent.start(scene, options), options)
    await scene.clock.advance(0)
    return member
  }

  get hostId(): string {
    return this.agent.hostId
  }

  /** Attaches a new sandbox, letting time pass. */
  attach(network: string, spec: Partial<AttachSpec> = {}) {
    const netns = `/run/netns/${this.agent.hostId}-${++this.#sandboxes}`
    const place = spec.netns ?? spec.pid
    const target = place === undefined ? { netns } : {}
    return drive(this.scene, this.control.attach({ network, ...target, ...spec }))
  }

  detach(reference: string): Promise<void> {
    return drive(this.scene, this.control.detach(reference))
  }

  cut(): void {
    this.scene.cluster.cut(this.agent.store)
  }

  /** Reconnects, and lets everybody notice. */
  async heal(): Promise<void> {
    this.scene.cluster.heal(this.agent.store)
    await this.scene.clock.advance(40_000)
  }

  async stop(): Promise<void> {
    await this.#end(this.agent.stop())
  }

  async kill(): Promise<void> {
    await this.#end(this.agent.kill())
  }

  async #end(agent: Promise<void>): Promise<void> {
    await drive(this.scene, Promise.all([this.control[Symbol.asyncDispose](), agent]))
  }
}
