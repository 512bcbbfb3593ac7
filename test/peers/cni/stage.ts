/**
 * A host with our CNI program on it, and a network of both families. After every test the host must be as it was:
 * what a test attached is given back here, as a runtime would, and everything that the kernel lists is compared.
 */

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import type { Cluster } from '../../../src/lab/cluster.ts'
import type { LabContainer } from '../../../src/lab/lab.ts'
import type { RunResult } from '../../../src/lab/processes.ts'
import { messageOf } from '../../../src/lib/errors.ts'
import { createNetwork, type Shape, sharedCluster, shell, until } from '../../cluster/harness.ts'
import {
  assertSilent,
  assertSound,
  type CallOptions,
  call,
  NEWEST,
  PLUGINS,
  type Result,
  resultOf,
  TYPE,
  type Who,
} from './plugin.ts'

export const NETWORK = 'cknet'
export const HOST = 'h1'
export const SUBNETS = ['10.99.0.0/24', 'fd99:0:0:1::/64'] as const
export const GATEWAY = '10.99.0.1'
/** Every capability we have, as our own list declares them. */
export const CAPABILITIES = {
  portMappings: true,
  ips: true,
  mac: true,
  dns: true,
  bandwidth: true,
  aliases: true,
  ipRanges: true,
  'io.kubernetes.cri.pod-annotations': true,
} as const

export interface ConfigOptions {
  readonly version?: string
  readonly name?: string
}

/** Two hosts: the second has no daemon, and stands for the world outside. */
const SHAPE: Shape = { hosts: 2, members: 1 }

/** Tests of one file that share a host with our CNI program. */
export function sharedStage(
  shape: Shape = SHAPE,
): (name: string, body: (stage: Stage) => Promise<void>) => void {
  const withCluster = sharedCluster(shape)
  let stage: Stage | undefined
  return (name, body) =>
    withCluster(name, async (cluster) => {
      stage ??= await Stage.prepare(cluster)
      try {
        await body(stage)
      } finally {
        await stage.tidy()
      }
      await stage.assertClean()
    })
}

/** Links our program, and none of the reference's, where hosts look for programs: the small one where it was built. */
export async function linkPlugin(cluster: Cluster, host: string): Promise<void> {
  const small = `${cluster.executable}-cni`
  const program = existsSync(small) ? small : cluster.executable
  await shell(cluster, host, `mkdir -p ${PLUGINS} && ln -sf ${program} ${PLUGINS}/${TYPE}`)
}

export class Stage {
  readonly cluster: Cluster
  #boxes: LabContainer[] = []
  #networks: string[] = []
  #touched = new Map<string, { readonly who: Who; readonly config: string }>()
  #before = ''

  private constructor(cluster: Cluster) {
    this.cluster = cluster
  }

  /** One container has come and gone before the first look: what is made once is there. */
  static async prepare(cluster: Cluster): Promise<Stage> {
    const stage = new Stage(cluster)
    const members = cluster.lab.hosts.filter(({ name }) => name === HOST).map(({ name }) => name)
    await linkPlugin(cluster, HOST)
    const subnets = SUBNETS.flatMap((subnet) => ['--subnet', subnet])
    await createNetwork(cluster, NETWORK, subnets, members)
    const box = await stage.box('first')
    await stage.add(whoIs(box))
    await stage.tidy()
    stage.#before = await stage.#settledView()
    return stage
  }

  /** A namespace that is nothing else, given back after the test. */
  async box(name: string, host = HOST): Promise<LabContainer> {
    const box = await this.cluster.lab.container(host, name)
    this.#boxes.push(box)
    return box
  }

  /** One more network beside the usual one, which the test removes; it is given back where the test fails before. */
  async network(name: string, ...subnets: readonly string[]): Promise<void> {
    const flags = subnets.flatMap((subnet) => ['--subnet', subnet])
    this.#networks.push(name)
    await this.cluster.carrick(HOST, 'network', 'create', name, ...flags)
  }

  /** Refused while anything is left in it. */
  async removeNetwork(name: string): Promise<void> {
    await this.cluster.carrick(HOST, 'network', 'rm', name)
    this.#networks = this.#networks.filter((each) => each !== name)
  }

  async loseBox(box: LabContainer): Promise<void> {
    this.#boxes = this.#boxes.filter(({ pin }) => pin !== box.pin)
    await this.cluster.lab.removeContainer(box)
  }

  /** The plug-in's object of a list as a runtime writes it, with these keys. */
  config(keys: object = {}, { version = NEWEST, name = NETWORK }: ConfigOptions = {}): string {
    return JSON.stringify({
      type: TYPE,
      capabilities: CAPABILITIES,
      ...keys,
      cniVersion: version,
      name,
    })
  }

  async call(
    verb: string,
    who: Who,
    config: string,
    options: CallOptions = {},
  ): Promise<RunResult> {
    const answer = await call(this.cluster.lab, HOST, verb, who, config, options)
    if (verb === 'ADD' && answer.exitCode === 0) this.remember(who, config)
    return answer
  }

  /** Given back after the test if the test does not do it. */
  remember(who: Who, config = this.config()): void {
    this.#touched.set(`${who.id} ${who.ifname}`, { who, config })
  }

  /** Attaches, and holds the result against what every runtime relies on. */
  async add(
    who: Who,
    keys: object = {},
    { version, name, ...options }: CallOptions & ConfigOptions = {},
  ): Promise<Result> {
    const config = this.config(keys, {
      ...(version === undefined ? {} : { version }),
      ...(name === undefined ? {} : { name }),
    })
    const result = resultOf(await this.call('ADD', who, config, options), `ADD ${who.id}`)
    assertSound(result, who)
    return result
  }

  async del(who: Who, keys: object = {}, options: ConfigOptions = {}): Promise<void> {
    assertSilent(await this.call('DEL', who, this.config(keys, options)), `DEL ${who.id}`)
  }

  async check(who: Who, prevResult: Result): Promise<void> {
    const config = this.config({ prevResult }, { version: prevResult.cniVersion })
    assertSilent(await this.call('CHECK', who, config), `CHECK ${who.id}`)
  }

  /** Runs a command in a box and gives what it said; throws when it fails. */
  async in(box: LabContainer, ...argv: readonly string[]): Promise<string> {
    const { stdout, stderr, exitCode } = await this.cluster.lab.runIn(box, argv)
    assert.equal(exitCode, 0, `${argv.join(' ')} in ${box.name}: ${stderr}${stdout}`)
    return stdout
  }

  async pings(box: LabContainer, address: string): Promise<boolean> {
    const argv = ['ping', '-n', '-c', '1', '-W', '2', address]
    return (await this.cluster.lab.runIn(box, argv)).exitCode === 0
  }

  /** Gives back what the test attached and made, as a runtime that remembers nothing would. */
  async tidy(): Promise<void> {
    const failures: string[] = []
    for (const { who, config } of this.#touched.values()) {
      const answer = await this.call('DEL', { ...who, netns: '' }, config)
      if (answer.exitCode !== 0) failures.push(`DEL ${who.id}: ${answer.stdout}${answer.stderr}`)
    }
    this.#touched = new Map()
    for (const box of this.#boxes) await this.cluster.lab.removeContainer(box)
    this.#boxes = []
    for (const name of this.#networks) {
      const { exitCode, stderr } = await this.cluster.run(HOST, 'network', 'rm', name)
      if (exitCode !== 0) failures.push(stderr)
    }
    this.#networks = []
    assert.deepEqual(failures, [])
  }

  /** Row 12 of the checklist. */
  async assertClean(): Promise<void> {
    let now = ''
    try {
      await until('the host is as before', async () => {
        now = await this.view()
        return now === this.#before
      })
    } catch (error) {
      const { gone, left } = difference(this.#before, now)
      assert.fail(`${messageOf(error)}\ngone: ${gone.join('\n')}\nleft: ${left.join('\n')}`)
    }
  }

  /** What stands on the host now is what it shall be after every test. */
  async accept(): Promise<void> {
    this.#before = await this.#settledView()
  }

  /** All rules, links and routes of the host, and what our own lists say. */
  async view(): Promise<string> {
    const script = `nft -s list ruleset
echo; ls /sys/class/net; ip route; ip -6 route
tc qdisc show | grep -v noqueue || true`
    const kernel = await shell(this.cluster, HOST, script)
    const listed: string[] = []
    for (const noun of ['endpoint', 'publish']) {
      listed.push(await this.cluster.carrick(HOST, noun, 'ls'))
    }
    return [withoutBlocks(kernel), ...listed].join('\n')
  }

  /** Links that go are deleted a moment after the call that takes them away. */
  async #settledView(): Promise<string> {
    let last = ''
    await until('the host comes to rest', async () => {
      const before = last
      last = await this.view()
      return last === before && !/^(ck[0-9a-f]{12}|veth)/m.test(last)
    })
    return last
  }
}

/** The lines that only one of two texts has. */
function difference(before: string, now: string): { gone: string[]; left: string[] } {
  const [were, are] = [before.split('\n'), now.split('\n')]
  return {
    gone: were.filter((line) => !are.includes(line)),
    left: are.filter((line) => !were.includes(line)),
  }
}

/** A host keeps blocks of addresses for later, and has an address in each: that is no trace of a container. */
function withoutBlocks(listed: string): string {
  return listed
    .replace(
      /((?:set|map) (?:own|gateways|hairpin)[46] \{\n\s*type [^\n]*\n)\s*elements = \{[^}]*\}/g,
      '$1',
    )
    .replace(/ src \S+/g, '')
}

/** An attachment of a box under the usual names. */
export function whoIs(box: LabContainer, id = box.name, ifname = 'eth0'): Who {
  return { id, netns: box.netns, ifname }
}
