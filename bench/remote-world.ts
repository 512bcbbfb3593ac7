/**
 * The rest of a large cluster, played by one process in another host of the lab: it serves the shared store,
 * fills it with made-up hosts and changes their endpoints, so that the daemon under test lives in a cluster
 * of thousands. The two talk in lines of JSON, one answer to each request.
 */
import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Lab } from '../src/lab/lab.ts'

/** What the process is asked. `networkId` names a network the daemon under test has made. */
export type WorldRequest =
  | {
      readonly ask: 'fill'
      readonly networkId: string
      readonly hosts: number
      readonly endpointsPerHost: number
    }
  /** 0 stops it. */
  | { readonly ask: 'churn'; readonly changesPerSecond: number }

export type WorldAnswer = { readonly ok: true } | { readonly ok: false; readonly why: string }

export class RemoteWorld {
  /** What the daemon takes as `--store`. */
  readonly storeUrl: string
  readonly #child: ChildProcess
  readonly #answers: AsyncIterator<string>

  private constructor(storeUrl: string, child: ChildProcess, answers: AsyncIterator<string>) {
    this.storeUrl = storeUrl
    this.#child = child
    this.#answers = answers
  }

  /** Starts the process in a host of the lab, with which it ends; returns when the store can be reached. */
  static async start(lab: Lab, host: string): Promise<RemoteWorld> {
    const address = lab.hosts.find(({ name }) => name === host)?.underlay[0].ip
    const script = fileURLToPath(new URL('store-host.ts', import.meta.url))
    const child = lab.spawn(host, [process.execPath, script, `${address}`, '2379'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    if (child.stdout === null) throw new Error('A piped child has an output')
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const world = new RemoteWorld(`etcd://${address}:2379`, child, lines)
    await world.#answer()
    return world
  }

  async ask(request: WorldRequest): Promise<void> {
    this.#child.stdin?.write(`${JSON.stringify(request)}\n`)
    await this.#answer()
  }

  async #answer(): Promise<void> {
    const { value, done } = await this.#answers.next()
    if (done === true) throw new Error('The process that serves the store has ended')
    const answer = JSON.parse(value) as WorldAnswer // written by store-host.ts alone
    if (!answer.ok) throw new Error(`The process that serves the store failed: ${answer.why}`)
  }
}
