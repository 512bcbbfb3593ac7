import { afterEach, beforeEach, expect, test } from 'bun:test'
import { setTimeout as pause } from 'node:timers/promises'
import { FakeControl, HOST_ID } from '../../api/docker/fake-control.ts'
import { systemClock } from '../../lib/clock.ts'
import { NetworkError } from '../../lib/errors.ts'
import { silentLog } from '../../lib/log.ts'
import type { DockerSide, EngineNetwork } from '../../model/engine-network.ts'
import { ENGINE_LABELS } from '../../model/engine-network.ts'
import type { Network } from '../../model/network.ts'
import { prefix } from '../../net/testing.ts'
import type { ReplicaChange } from '../../store/replica/replica.ts'
import type { FollowerControl, FollowerReplica } from './engine-control.ts'
import { builtinNetworks, FakeEngine, rawNetwork } from './testing.ts'
import { DockerWatcher } from './watcher.ts'

/** A cluster of one network or two, which tells of its changes. */
class World extends FakeControl implements FollowerControl {
  readonly memory = new Map<string, string>()
  /** True: no network can be removed. */
  away = false
  readonly #listeners = new Set<(changes: readonly ReplicaChange[]) => void>()

  readonly replica: FollowerReplica = {
    hostId: HOST_ID,
    complete: true,
    network: (id) => this.networks.find((each) => each.id === id),
    networks: () => this.networks,
    engineNetworks: () => this.engineNetworks,
    subscribe: (listener) => {
      this.#listeners.add(listener)
      return () => this.#listeners.delete(listener)
    },
  }

  tell(): void {
    for (const listener of this.#listeners) listener([{ kind: 'all' }])
  }

  override removeNetwork: FollowerControl['removeNetwork'] = async (reference) => {
    if (this.away) throw new NetworkError('unavailable', 'the store is away')
    this.networks.splice(this.networks.indexOf(this.getNetwork(reference)), 1)
  }

  listHosts: FollowerControl['listHosts'] = () => []

  override setNetworkDocker: FollowerControl['setNetworkDocker'] = async (id, docker) => {
    const { docker: _, ...network } = this.getNetwork(id)
    const next = docker === undefined ? network : { ...network, docker }
    this.networks.splice(this.networks.indexOf(this.getNetwork(id)), 1, next)
    this.tell()
    return next
  }

  override renameNetwork: FollowerControl['renameNetwork'] = async (id, name) =>
    this.change(id, { name })

  override labelEndpoint: FollowerControl['labelEndpoint'] = (id, labels) => {
    const i = this.endpoints.findIndex((each) => each.id === id)
    const before = this.endpoints[i]
    if (before === undefined) throw new NetworkError('not-found', `no endpoint ${id}`)
    const next = { ...before, labels }
    this.endpoints[i] = next
    return next
  }

  change(id: string, fields: Partial<Network>): Network {
    const i = this.networks.findIndex((each) => each.id === id)
    const before = this.networks[i]
    if (before === undefined) throw new NetworkError('not-found', `no network ${id}`)
    const next = { ...before, ...fields }
    this.networks[i] = next
    this.tell()
    return next
  }

  /** As the driver does when the engine asks it. */
  bind(id: string, networkId: string): EngineNetwork {
    const record = this.bindEngineNetwork({
      ...{ id, networkId, options: {}, internal: false, pools: [], madeByUs: false },
    })
    this.tell()
    return record
  }

  unbind(id: string): void {
    this.unbindEngineNetwork(id)
    this.tell()
  }

  async shared(name: string, subnet: string): Promise<Network> {
    const { id } = await this.createNetwork({ name, subnets: [subnet] })
    const docker: DockerSide = { name, options: {}, labels: {}, ranges: [] }
    return this.change(id, { docker })
  }
}

let engine: FakeEngine
let world: World
let watcher: DockerWatcher | undefined

beforeEach(() => {
  engine = new FakeEngine()
  world = new World()
  engine.onCreate = ({ Id, IPAM }) => {
    const { Config } = IPAM as { Config: readonly { readonly Subnet: string }[] }
    const prefixes = Config.map(({ Subnet }) => prefix(Subnet))
    world.bind(Id, world.expectedNetwork(prefixes)?.id ?? '')
  }
  engine.onRemove = (id) => world.unbind(id)
})

afterEach(async () => {
  await watcher?.[Symbol.asyncDispose]()
  watcher = undefined
  await engine[Symbol.asyncDispose]()
})

function follow(served = true): DockerWatcher {
  watcher = new DockerWatcher({
    ...{ socketPath: engine.socketPath, driver: 'carrick', served, control: world },
    ...{ replica: world.replica, hints: () => [], clock: systemClock(), log: silentLog },
    memory: {
      get: (name) => world.memory.get(name),
      set: (name, value) => void world.memory.set(name, value),
    },
  })
  return watcher
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (const deadline = performance.now() + 10_000; !holds(); await pause(5)) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`)
  }
}

const has = (name: string) => engine.networks.some(({ Name }) => Name === name)

test('networks come and go with the cluster’s wish', async () => {
  await engine.start()
  const blue = await world.shared('blue', '10.90.0.0/16')
  const { view } = follow()
  expect(view.engine.state).toBe('away')
  await until('blue is there', () => has('blue'))
  await until('it is noted', () => world.engineNetworks[0]?.madeByUs === true)
  expect(watcher?.view.networks).toMatchObject([{ network: 'blue', name: 'blue', state: 'here' }])
  expect(watcher?.view.engine).toMatchObject({ version: '20.10.24+dfsg1', apiVersion: '1.41' })
  await world.removeNetwork(blue.id)
  world.tell()
  await until('blue is gone', () => !has('blue') && world.engineNetworks.length === 0)
})

test('what a user makes is shared and gets a name; what a user removes goes, or comes back', async () => {
  await engine.start()
  follow()
  const made = await world.createNetwork({ name: 'docker-eeeeeeeeeeee', subnets: ['10.90.0.0/16'] })
  world.bind('e'.repeat(64), made.id)
  engine.networks.push(rawNetwork('e'.repeat(64), 'Blue_1', { Driver: 'carrick' }))
  engine.tell('network', 'create', 'e'.repeat(64), { name: 'Blue_1', type: 'carrick' })
  await until('it is shared', () => world.networks[0]?.docker?.name === 'Blue_1')
  await until('it has a name', () => world.networks[0]?.name === 'blue-1')
  await until('it is noted', () => world.engineNetworks[0]?.name === 'Blue_1')

  const { address } = await world.holdAddress({ network: made.id, labels: {} })
  engine.remove('e'.repeat(64))
  await until('it comes back', () => has('Blue_1'))
  await world.releaseHeld(made.id, address)
  await until('it is noted again', () => world.engineNetworks[0]?.name === 'Blue_1')
  engine.remove(world.engineNetworks[0]?.id ?? '')
  // It was there before an engine took it up: only the engines lose it.
  await until('it is not shared any more', () => world.networks[0]?.docker === undefined)
  expect(has('Blue_1')).toBe(false)
})

test('a name that somebody has is left alone, until it is free', async () => {
  engine.networks.push(rawNetwork('f1', 'blue'))
  await engine.start()
  await world.shared('blue', '10.90.0.0/16')
  follow()
  await until('the clash is told of', () => watcher?.view.networks[0]?.state === 'clash')
  expect(engine.asked.filter((line) => line.startsWith('POST'))).toEqual([])
  engine.remove('f1')
  await until('blue is ours', () => has('blue'))
})

test('without a driver to be found nothing is made', async () => {
  await engine.start()
  await world.shared('blue', '10.90.0.0/16')
  follow(false)
  await until('it is wanted', () => watcher?.view.networks[0]?.state === 'wanted')
  expect(engine.asked.filter((line) => line.startsWith('POST'))).toEqual([])
})

test('an engine that refuses is asked again, and what it says is told', async () => {
  engine.refusals.set('blue', { status: 403, message: 'Pool overlaps with other one' })
  await engine.start()
  await world.shared('blue', '10.90.0.0/16')
  follow()
  await until('it is told', () => watcher?.view.networks[0]?.detail?.includes('overlaps') === true)
  engine.refusals.clear()
  await until('blue is there', () => has('blue'))
})

test('an engine that stops, starts, or answers nobody is followed when it answers', async () => {
  follow()
  await world.shared('blue', '10.90.0.0/16')
  await engine.start()
  await until('blue is there', () => has('blue'))
  await engine.stop()
  await until('it is away', () => watcher?.view.engine.state === 'away')
  engine.blocked = true
  await engine.start()
  await world.shared('red', '10.91.0.0/16') // told of to nobody
  await until('it is asked', () => engine.asked.at(-1) === 'GET /version')
  engine.blocked = false
  await until('red is there', () => has('red'))
})

test('what a user took off the engine goes, though the store is away and the daemon starts again', async () => {
  await engine.start()
  await world.shared('blue', '10.90.0.0/16')
  follow()
  await until('blue is noted', () => world.engineNetworks[0]?.madeByUs === true)
  world.away = true
  engine.remove(engine.networks.find(({ Name }) => Name === 'blue')?.Id ?? '')
  await until('it is to go', () => Boolean(world.memory.get('docker.taken-away')))
  await watcher?.[Symbol.asyncDispose]()
  follow()
  await until('it cannot go yet', () => watcher?.view.engine.state === 'connected')
  expect(has('blue')).toBe(false)
  world.away = false
  world.tell()
  await until('it is gone', () => world.networks.length === 0)
  expect(world.memory.get('docker.taken-away')).toBe('')
  expect(has('blue')).toBe(false)
})

test('endpoints get the names and labels of their containers, and lose them with their container', async () => {
  await engine.start()
  const blue = await world.shared('blue', '10.90.0.0/16')
  follow()
  await until('blue is there', () => has('blue'))
  const labels = { [ENGINE_LABELS.endpoint]: 'ep1' }
  await world.plug({ network: blue.id, addresses: [], choose: [4], labels })
  const network = engine.networks.find(({ Name }) => Name === 'blue')
  const id = network?.Id ?? ''
  const c1 = 'a1'.repeat(32)
  // As it is during the start: the container has no endpoint yet, and the network lists it by another key.
  engine.networks = engine.networks.map((each) =>
    each.Id === id
      ? { ...each, Containers: { 'ep-ep1': { Name: 'web', EndpointID: 'ep1' } } }
      : each,
  )
  const summary = { Id: c1, Names: ['/web'], Image: 'bb', State: 'created', Labels: { app: 'x' } }
  engine.containers = [summary]
  engine.tell('network', 'connect', id, { container: c1, name: 'blue', type: 'carrick' })
  const labelsNow = () => world.endpoints[0]?.labels ?? {}
  await until('it is labelled', () => labelsNow()['app'] === 'x')
  expect(labelsNow()[ENGINE_LABELS.names]).toBe('web,a1a1a1a1a1a1')
  expect(engine.asked.some((line) => line === `GET /containers/${c1}/json`)).toBe(false)

  const Networks = { blue: { EndpointID: 'ep1', NetworkID: id } }
  engine.containers = [{ ...summary, State: 'running', NetworkSettings: { Networks } }]
  const Aliases = ['www', 'a1a1a1a1a1a1']
  engine.details.set(c1, {
    NetworkSettings: { Networks: { blue: { ...Networks.blue, Aliases } } },
  })
  engine.tell('container', 'start', c1, { name: 'web' })
  await until('aliases are there', () => {
    return labelsNow()[ENGINE_LABELS.names] === 'web,www,a1a1a1a1a1a1'
  })
})

test('a link-local address is its first holder’s, and then the other’s', async () => {
  await engine.start()
  const blue = await world.shared('blue', '10.90.0.0/16')
  follow()
  await until('blue is there', () => has('blue'))
  const id = engine.networks.find(({ Name }) => Name === 'blue')?.Id ?? ''
  const labelOf = (engineId: string) => world.plugged(engineId)?.labels[ENGINE_LABELS.linkLocal]
  const start = async (name: string): Promise<void> => {
    const labels = { [ENGINE_LABELS.endpoint]: name }
    await world.plug({ network: blue.id, addresses: [], choose: [4], labels })
    const place = { EndpointID: name, NetworkID: id }
    const about = { Id: name.repeat(32), Names: [`/${name}`], Image: 'bb', State: 'running' }
    const Networks = { blue: place }
    engine.containers = [
      ...engine.containers,
      { ...about, Labels: {}, NetworkSettings: { Networks } },
    ]
    const IPAMConfig = { LinkLocalIPs: ['169.254.7.7', '169.254.77.53'] }
    const asked = { NetworkSettings: { Networks: { blue: { ...place, IPAMConfig } } } }
    engine.details.set(about.Id, asked)
    engine.tell('container', 'start', about.Id, { name })
    await until(`${name} is known`, () => {
      return world.plugged(name)?.labels[ENGINE_LABELS.container] === name
    })
  }
  await start('e1')
  await until('e1 has it', () => labelOf('e1') === '169.254.7.7')
  await start('e2')
  await world.unplug('e1')
  expect(labelOf('e2')).toBe(undefined)
  await until('e2 has it', () => {
    engine.tell('network', 'create', 'x') // has everything looked at
    return labelOf('e2') === '169.254.7.7'
  })
})

test('what an engine forgot goes when it is back, and never while it lists nothing', async () => {
  const blue = await world.shared('blue', '10.90.0.0/16')
  world.bind('e1', blue.id)
  await world.plug({
    ...{ network: blue.id, addresses: [], choose: [4] },
    labels: { [ENGINE_LABELS.endpoint]: 'ep1' },
  })
  engine.networks = []
  await engine.start()
  follow()
  await until(
    'it was looked at',
    () => engine.asked.filter((l) => l === 'GET /networks').length > 1,
  )
  expect(world.endpoints.length).toBe(1)
  expect(world.engineNetworks.length).toBe(1)
  engine.networks = [
    ...builtinNetworks(new Date().toISOString()),
    rawNetwork('e1', 'blue', { Driver: 'carrick' }),
  ]
  await until('it is gone', () => world.endpoints.length === 0)
  expect(world.engineNetworks.length).toBe(1)
})

test('an engine that lost everything gets its networks again', async () => {
  const blue = await world.shared('blue', '10.90.0.0/16')
  world.bind('e1', blue.id)
  world.memory.set('docker.engine', 'none-before')
  await engine.start()
  follow()
  await until('blue is there', () => has('blue'))
  expect(world.networks.length).toBe(1)
  await until('the engine is known', () => world.memory.get('docker.engine') === 'none-store1')
})
