/** One namespace of the fake kernel. Every call is noted, and refused when the test said so. */
import { messageOf, NetworkError } from '../../lib/errors.ts'
import type { Batch, KernelView, Netns } from '../kernel.ts'
import { NoticeQueue } from '../notice-queue.ts'
import type { Sysctl } from '../settings.ts'
import { type Calls, refuse } from './calls.ts'
import { fakeConntrack } from './conntrack.ts'
import { fakeLinks } from './links.ts'
import { fakeNft } from './nft.ts'
import { fakeOffloads } from './offloads.ts'
import { fakePorts } from './ports.ts'
import { fakeAddresses, fakeNeighbours, fakeRoutes, fakeRules } from './routing.ts'
import type { FakeNamespace } from './state.ts'
import { fakeFilters, fakeQdiscs, fakeShapers } from './traffic.ts'

export interface FakeSurroundings {
  readonly calls: Calls
  find(netns: Netns): FakeNamespace
  program(fd: number): { readonly id: number; readonly tag: string }
}

export function fakeView(own: FakeNamespace, around: FakeSurroundings): KernelView {
  const noted = <T extends object>(group: string, functions: T) =>
    note(group, functions, around.calls, own.inode)
  const bare = {
    links: fakeLinks(own, around.find),
    addresses: fakeAddresses(own),
    routes: fakeRoutes(own),
    rules: fakeRules(own),
    neighbours: fakeNeighbours(own),
    qdiscs: fakeQdiscs(own),
    shapers: fakeShapers(own),
    filters: fakeFilters(own, around.program),
  }
  const view = {
    links: noted('links', bare.links),
    addresses: noted('addresses', bare.addresses),
    routes: noted('routes', bare.routes),
    rules: noted('rules', bare.rules),
    neighbours: noted('neighbours', bare.neighbours),
    qdiscs: noted('qdiscs', bare.qdiscs),
    shapers: noted('shapers', bare.shapers),
    filters: noted('filters', bare.filters),
  }
  return {
    ...view,
    nft: noted('nft', fakeNft(own)),
    sysctl: noted('sysctl', fakeSysctl(own)),
    ports: noted('ports', fakePorts(own)),
    offloads: noted('offloads', fakeOffloads(own)),
    conntrack: noted('conntrack', fakeConntrack(own)),
    tooBigHints: () => own.learnedMtus.size,
    batch: (work) =>
      batch(work, {
        ...view,
        qdiscs: noted('qdiscs', { put: bare.qdiscs.create, remove: bare.qdiscs.remove }),
      }),
    watch(groups, signal) {
      around.calls.enter('watch', [groups], own.inode)
      const watcher = { groups, queue: new NoticeQueue() }
      const stop = () => {
        own.watchers.delete(watcher)
        watcher.queue.end()
      }
      if (signal.aborted) stop()
      else own.watchers.add(watcher)
      signal.addEventListener('abort', stop, { once: true })
      return watcher.queue.iterate(stop)
    },
  }
}

/** The same functions, noting each call before it is made. */
function note<T extends object>(group: string, functions: T, calls: Calls, netns: number): T {
  const entries = Object.entries(functions).map(([name, call]) => [
    name,
    (...args: unknown[]) => {
      calls.enter(`${group}.${name}`, args, netns)
      return call(...args)
    },
  ])
  // Same names, same parameters, same results.
  return Object.fromEntries(entries) as T
}

/** All changes are tried in order; then the first failure is thrown. */
function batch(work: (batch: Batch) => void, view: Batch): void {
  const changes: (() => void)[] = []
  const later = <T extends object>(functions: T): T =>
    Object.fromEntries(
      Object.entries(functions).map(([name, call]) => [
        name,
        (...args: unknown[]) => {
          changes.push(() => call(...args))
        },
      ]),
    ) as T
  work({
    links: later(view.links),
    addresses: later(view.addresses),
    routes: later(view.routes),
    rules: later(view.rules),
    neighbours: later(view.neighbours),
    qdiscs: later(view.qdiscs),
    shapers: later(view.shapers),
    filters: later(view.filters),
  })
  const failures = changes.flatMap((change, request) => {
    try {
      change()
      return []
    } catch (error) {
      return [{ request, error }]
    }
  })
  const first = failures[0]
  if (first === undefined) return
  throw new NetworkError('kernel', messageOf(first.error), {
    details: {
      ...(first.error instanceof NetworkError ? first.error.details : {}),
      request: first.request,
      requests: changes.length,
      failures: failures.map(({ error }) => messageOf(error)),
    },
    cause: first.error,
  })
}

/** Settings exist once they were written, except those of devices, which exist with their device. */
function fakeSysctl(own: FakeNamespace): Sysctl {
  const check = (path: readonly string[]) => {
    const [net, , conf, device = ''] = path
    if (net !== 'net' || conf !== 'conf' || ['all', 'default'].includes(device)) return true
    return [...own.links.values()].some(({ name }) => name === device)
  }
  return {
    read: (path) => (check(path) ? own.sysctls.get(path.join('/')) : undefined),
    open: (path) => ({
      read: () => own.sysctls.get(path.join('/')),
      [Symbol.dispose]: () => {},
    }),
    write(path, value) {
      if (!check(path)) refuse(`set ${path.join('/')} to "${value}"`, 'ENOENT')
      own.sysctls.set(path.join('/'), value)
    },
  }
}
