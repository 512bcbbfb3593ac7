/** Links of the fake kernel: made, changed, moved and removed as Linux does it, with its refusals. */
import type { Link, LinkChange, Links, Netns, NewLink } from '../kernel.ts'
import { removeGroup as checkGroup, createLink, setLink } from '../rtnetlink/links.ts'
import { refuse } from './calls.ts'
import { dropLink, dropRoutes, type FakeNamespace, PLAIN, putLink } from './state.ts'

/** `find` gives the namespace a handle names. */
export function fakeLinks(own: FakeNamespace, find: (netns: Netns) => FakeNamespace): Links {
  const get = (device: number | string) =>
    typeof device === 'number'
      ? own.links.get(device)
      : [...own.links.values()].find(({ name }) => name === device)

  const create = (kind: string, link: NewLink, extra: Partial<Link> = {}) => {
    // The real writer refuses what can be seen to be wrong.
    createLink(kind, link)
    return add(own, { ...birth(kind, link), ...extra })
  }

  return {
    get,
    list: ({ kind, group } = {}) =>
      [...own.links.values()].filter(
        (link) =>
          (kind === undefined || link.kind === kind) &&
          (group === undefined || link.group === group),
      ),
    createVeth(link) {
      const there = link.peer.netns === undefined ? own : find(link.peer.netns)
      createLink('veth', link.peer)
      refuseTaken(there, link.peer.name)
      const end = create('veth', link)
      const peer = add(there, { ...birth('veth', link.peer), peer: end.index, ...away(there, own) })
      const made = { ...end, peer: peer.index, ...away(own, there) }
      own.peers.set(end.index, { namespace: there, index: peer.index })
      there.peers.set(peer.index, { namespace: own, index: end.index })
      putLink(own, made)
      return made
    },
    createVxlan: (link) =>
      create('vxlan', link, {
        vxlan: {
          port: link.port,
          collectMetadata: link.collectMetadata ?? false,
          vni: link.vni,
          learning: link.learning ?? true,
          udpZeroCsum6Tx: link.udpZeroCsum6Tx ?? false,
          udpZeroCsum6Rx: link.udpZeroCsum6Rx ?? false,
        },
      }),
    createBridge: (link) => create('bridge', link),
    createMacvlan(link) {
      if (get(link.lower) === undefined) refuse(`create macvlan "${link.name}"`, 'ENODEV')
      return create('macvlan', link, { peer: link.lower })
    },
    set(device, change) {
      const link = get(device) ?? refuse(`change link ${device}`, 'ENODEV')
      setLink(link.index, change)
      if (change.name !== undefined && change.name !== link.name) refuseTaken(own, change.name)
      const changed = { ...link, ...withoutNetns(change) }
      if (change.master !== undefined) changed.master = change.master || undefined
      changed.running = changed.up
      if (link.up && !changed.up) flush(own, link)
      if (change.netns === undefined) putLink(own, changed)
      else move(own, find(change.netns), changed)
    },
    refresh() {},
    remove(device) {
      const link = get(device)
      if (link?.kind === undefined && link !== undefined)
        refuse(`remove link ${device}`, 'EOPNOTSUPP')
      if (link !== undefined) dropLink(own, link.index)
    },
    removeGroup(group) {
      checkGroup(group)
      for (const link of [...own.links.values()]) {
        if (link.group === group) dropLink(own, link.index)
      }
    },
  }
}

function birth(kind: string, link: NewLink): Link {
  const { name, mac, mtuBytes, group, alias, master, addrGenMode, arp, up } = link
  const { gsoMaxBytes, groMaxBytes, gsoIpv4MaxBytes, groIpv4MaxBytes } = link
  const given = { mac, mtuBytes, group, master, addrGenMode, arp, up }
  const sizes = { gsoMaxBytes, groMaxBytes, gsoIpv4MaxBytes, groIpv4MaxBytes }
  const named = Object.entries({ ...given, ...sizes }).filter(([, value]) => value !== undefined)
  return {
    ...PLAIN,
    ...Object.fromEntries(named),
    name,
    kind,
    alias,
    running: up ?? false,
    mac: mac ?? '02:00:00:00:00:00',
  }
}

function add(namespace: FakeNamespace, link: Link): Link {
  refuseTaken(namespace, link.name)
  const made = { ...link, index: namespace.nextIndex++ }
  putLink(namespace, made)
  return made
}

function refuseTaken(namespace: FakeNamespace, name: string): void {
  for (const link of namespace.links.values()) {
    if (link.name === name) refuse(`name a link "${name}"`, 'EEXIST')
  }
}

/** What an end of a veth says about where the other is. */
function away(from: FakeNamespace, to: FakeNamespace): { peerNetnsId: number | undefined } {
  return { peerNetnsId: from === to ? undefined : to.inode }
}

function withoutNetns({ netns: _, ...change }: LinkChange): Omit<LinkChange, 'netns'> {
  return change
}

/** A device that goes down loses its routes and what IPv6 knew of it. */
function flush(namespace: FakeNamespace, link: Link): void {
  dropRoutes(namespace, ({ device }) => device === link.index)
  namespace.neighbours = namespace.neighbours.filter(({ device }) => device !== link.index)
  namespace.addresses = namespace.addresses.filter(
    ({ device, address }) => device !== link.index || !address.includes(':'),
  )
}

/** A moved device leaves everything behind and is down where it arrives; a veth's ends stay tied. */
function move(from: FakeNamespace, to: FakeNamespace, link: Link): void {
  refuseTaken(to, link.name)
  const peer = from.peers.get(link.index)
  from.peers.delete(link.index)
  dropLink(from, link.index)
  const moved = add(to, {
    ...link,
    up: false,
    running: false,
    ...(peer && away(to, peer.namespace)),
  })
  if (peer === undefined) return
  const other = peer.namespace.links.get(peer.index)
  to.peers.set(moved.index, peer)
  peer.namespace.peers.set(peer.index, { namespace: to, index: moved.index })
  if (other !== undefined) {
    putLink(peer.namespace, { ...other, peer: moved.index, ...away(peer.namespace, to) })
  }
}
