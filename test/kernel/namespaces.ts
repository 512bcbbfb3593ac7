/**
 * Namespaces for kernel tests: made by the test, named after its process, gone afterwards, and looked at
 * from outside with the tools an operator has.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import type { Kernel, KernelView, Netns } from '../../src/kernel/kernel.ts'
import { openKernel } from '../../src/kernel/real.ts'

/** A kernel with fresh namespaces, removed when disposed. */
export class TestNamespaces implements Disposable {
  readonly kernel: Kernel = openKernel()
  readonly #made: { readonly path: string; readonly netns: Netns }[] = []

  /** A path nobody else uses. */
  path(label: string): string {
    mkdirSync('/run/netns', { recursive: true })
    return `/run/netns/ckt${process.pid}${label}${this.#made.length}`
  }

  make(label: string): { readonly name: string; readonly netns: Netns; readonly view: KernelView } {
    const path = this.path(label)
    const netns = this.kernel.createNetns(path)
    this.#made.push({ path, netns })
    const view = this.kernel.inNetns(netns, (inside) => inside)
    return { name: path.slice('/run/netns/'.length), netns, view }
  }

  [Symbol.dispose](): void {
    for (const { path, netns } of this.#made) {
      netns.close()
      this.kernel.removeNetns(path)
    }
    this.kernel[Symbol.dispose]()
  }
}

/** Runs a tool inside the namespace and gives what it printed; throws when it fails. */
export function run(namespace: string, command: string): string {
  const [file = '', ...args] = command.split(' ')
  const inside = ['ip', 'tc', 'bridge'].includes(file)
    ? [file, '-n', namespace, ...args]
    : ['ip', 'netns', 'exec', namespace, file, ...args]
  const [tool = '', ...rest] = inside
  const result = spawnSync(tool, rest, { encoding: 'utf8' })
  if (result.status !== 0) throw new Error(`${command}: ${result.stderr}`)
  return result.stdout
}

/** What a tool with JSON output lists. */
export function list(namespace: string, command: string): Record<string, unknown>[] {
  return JSON.parse(run(namespace, command) || '[]')
}
