/**
 * A kernel in memory, for tests of what stands on the boundary: several namespaces that keep their state,
 * behave as Linux where the dataplane would notice, and refuse any chosen call once.
 */
import { NetworkError } from '../../lib/errors.ts'
import type { Connection } from '../conntrack/conntrack.ts'
import type { Kernel, KernelView, Netns } from '../kernel.ts'
import { Calls } from './calls.ts'
import { dropLink, type FakeNamespace, newNamespace } from './state.ts'
import { fakeView } from './view.ts'

export interface FakeKernel extends Kernel {
  readonly calls: Calls
  /** Lets a process run in the namespace at `path`, or in one of its own, until `endProcess`. */
  startProcess(pid: number, path?: string): void
  endProcess(pid: number): void
  /** The view of a namespace by path, for a test's own eyes and hands: not noted, never refused. */
  look(path?: string): KernelView
  /** As if a router had said that no larger packet reaches the destination. */
  learnPathMtu(destination: string, mtuBytes: number): void
  /** As if a packet had opened this connection at home. */
  track(connection: Connection): void
  /** Tells every watcher at home that its queue overran. */
  loseNotices(): void
  /** Number of namespaces alive, home included: 1 when nothing leaks. */
  readonly namespaces: number
}

export function openFakeKernel(): FakeKernel {
  const calls = new Calls()
  const home = newNamespace(1)
  const names = new Map<string | number, FakeNamespace>()
  const handles = new Map<number, FakeNamespace>()
  let nextNumber = 2

  const alive = (namespace: FakeNamespace) =>
    namespace === home || [...names.values(), ...handles.values()].includes(namespace)
  const collect = (namespace: FakeNamespace) => {
    if (alive(namespace)) return
    for (const index of [...namespace.links.keys()]) dropLink(namespace, index)
  }
  const forget = (name: string | number) => {
    const namespace = names.get(name)
    names.delete(name)
    if (namespace !== undefined) collect(namespace)
  }
  const make = (name: string | number) => {
    const namespace = newNamespace(nextNumber++)
    names.set(name, namespace)
    return namespace
  }
  const handleOf = (namespace: FakeNamespace): Netns => {
    const fd = nextNumber++
    handles.set(fd, namespace)
    const close = () => {
      if (handles.delete(fd)) collect(namespace)
    }
    return { fd, inode: namespace.inode, close, [Symbol.dispose]: close }
  }
  const find = (netns: Netns) => {
    const namespace = handles.get(netns.fd)
    if (namespace === undefined) throw new Error('a closed namespace handle was used')
    return namespace
  }
  const program = (fd: number) => ({ id: fd, tag: fd.toString(16).padStart(16, '0') })
  const viewOf = (namespace: FakeNamespace, noted: Calls) =>
    fakeView(namespace, { calls: noted, find, program })

  return {
    ...viewOf(home, calls),
    calls,
    openNetns(target) {
      calls.enter('openNetns', [target], home.inode)
      const namespace = target === '/proc/thread-self/ns/net' ? home : names.get(target)
      if (namespace !== undefined) return handleOf(namespace)
      const named = typeof target === 'number' ? `of process ${target}` : `"${target}"`
      throw new NetworkError('not-found', `Cannot open namespace ${named}: there is none`, {
        details: { netns: target },
      })
    },
    copyNetns(fd) {
      calls.enter('copyNetns', [fd], home.inode)
      const namespace = handles.get(fd)
      if (namespace === undefined) throw new Error('a closed namespace handle was copied')
      return handleOf(namespace)
    },
    createNetns(path) {
      calls.enter('createNetns', [path], home.inode)
      if (names.has(path)) {
        throw new NetworkError('already-exists', `Cannot create namespace "${path}": it exists`, {
          details: { netns: path },
        })
      }
      return handleOf(make(path))
    },
    removeNetns(path) {
      calls.enter('removeNetns', [path], home.inode)
      forget(path)
    },
    inNetns: (netns, work) => work(viewOf(find(netns), calls)),
    startProcess(pid, path) {
      const namespace = path === undefined ? make(pid) : (names.get(path) ?? make(path))
      names.set(pid, namespace)
    },
    endProcess: forget,
    look: (path) =>
      viewOf(path === undefined ? home : (names.get(path) ?? make(path)), new Calls()),
    learnPathMtu: (destination, mtuBytes) => void home.learnedMtus.set(destination, mtuBytes),
    track(connection) {
      home.connections = [...home.connections, connection]
    },
    loseNotices() {
      for (const { queue } of home.watchers) queue.push({ kind: 'lost' })
    },
    get namespaces() {
      return new Set([home, ...names.values(), ...handles.values()]).size
    },
    [Symbol.dispose]() {
      for (const namespace of new Set([home, ...names.values(), ...handles.values()])) {
        for (const { queue } of namespace.watchers) queue.end()
      }
    },
  }
}
