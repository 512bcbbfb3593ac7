/** A daemon under a service manager: sockets that are there before it and after it, and what the manager hears. */

import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Lab } from '../../src/lab/lab.ts'
import { type NotifySocket, notifySocket } from '../notify-socket.ts'
import { clusterTest } from './harness.ts'

const HAND_OVER = join(dirname(import.meta.dirname), 'hand-over.pl')
const UNIT = join(dirname(dirname(import.meta.dirname)), 'packaging/systemd/carrick.service')
const API = '/run/carrick/carrick.sock'
const DOCKER = '/run/docker/plugins/carrick.sock'
const NOTIFY = '/run/notify'
const NO_DAEMONS = { hosts: 1, members: 0 } as const

/** The manager's side of it, on the first host. */
class Manager implements Disposable {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly notify: NotifySocket

  private constructor(child: ChildProcess, lines: AsyncIterator<string>, notify: NotifySocket) {
    this.#child = child
    this.#lines = lines
    this.notify = notify
  }

  /** Opens the sockets; there is no daemon yet. */
  static async open(
    lab: Lab,
    executable: string,
    args: readonly string[] = [],
    before: readonly string[] = [],
  ): Promise<Manager> {
    const notify = await notifySocket(lab.outside('h1', NOTIFY))
    const sockets = [`docker=${DOCKER}`, `api=${API}`]
    const logged = ['sh', '-c', 'exec "$@" 2>> /run/carrick-daemon.log', 'sh']
    const daemon = [...logged, executable, 'daemon', ...args]
    const command = ['env', `NOTIFY_SOCKET=${NOTIFY}`, ...before, ...daemon]
    const child = lab.spawn('h1', ['perl', HAND_OVER, ...sockets, '--', ...command], {
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    if (child.stdout === null) throw new Error('no pipe')
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
    const manager = new Manager(child, lines, notify)
    assert.equal(await manager.#line(), 'ready')
    return manager
  }

  /** Starts the daemon and gives its process id. */
  async start(): Promise<number> {
    this.#child.stdin?.write('start\n')
    return Number(/^started (\d+)$/.exec(await this.#line())?.[1])
  }

  /** Sends the signal, and tells how the daemon ended. */
  async end(pid: number, signal: NodeJS.Signals): Promise<string> {
    process.kill(pid, signal)
    return await this.#line()
  }

  /** Reads what the daemon says until it says this. */
  async hears(pattern: RegExp): Promise<string> {
    for (;;) {
      const text = await this.notify.next()
      if (pattern.test(text)) return text
    }
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#lines.next()
    if (done === true) throw new Error('the manager ended')
    return value
  }

  [Symbol.dispose](): void {
    this.#child.kill()
    this.notify[Symbol.dispose]()
  }
}

/** Asks as an engine does: with no Host, no Content-Type, and a connection for itself. */
function ask(lab: Lab, path: string, method: string, body = ''): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const call = request(
      {
        socketPath: lab.outside('h1', path),
        path: method,
        method: body === 'GET' ? 'GET' : 'POST',
      },
      (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (part: string) => {
          text += part
        })
        response.on('end', () => resolve(JSON.parse(text)))
      },
    )
    call.on('error', reject)
    call.end(body === 'GET' ? undefined : body)
  })
}

const activate = (lab: Lab) => ask(lab, DOCKER, '/Plugin.Activate')
const ROLES = { Implements: ['NetworkDriver', 'IpamDriver'] }

clusterTest(
  'what is asked while there is no daemon is answered when there is one, again and again',
  NO_DAEMONS,
  async ({ lab, executable }) => {
    using manager = await Manager.open(lab, executable)
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      const asked = activate(lab)
      const status = lab.run('h1', [executable, 'status', '-o', 'json'])
      const pid = await manager.start()
      assert.deepEqual(await asked, ROLES)
      assert.equal((await status).exitCode, 0, (await status).stderr)
      assert.match(await manager.hears(/^READY=1$/m), /STATUS=Answering as host h1/)

      // What is sent, a long answer, and one that goes on: the API passes through the socket unchanged.
      const watch = lab.spawn('h1', [executable, 'network', 'ls', '--watch', '-o', 'json'])
      if (watch.stdout === null) throw new Error('no pipe')
      const events = createInterface(watch.stdout)[Symbol.asyncIterator]()
      const name = `n-${signal.toLowerCase()}`
      const subnet = signal === 'SIGKILL' ? '10.9.1.0/24' : '10.9.2.0/24'
      const create = ['network', 'create', name, '--subnet', subnet]
      const created = await lab.run('h1', [executable, ...create])
      assert.equal(created.exitCode, 0, created.stderr)
      while (!String((await events.next()).value ?? name).includes(name));
      watch.kill('SIGINT')

      assert.equal(statSync(lab.outside('h1', API)).mode & 0o777, 0o660)
      const ended = await manager.end(pid, signal)
      assert.equal(ended, signal === 'SIGKILL' ? 'ended by signal 9' : 'ended 0')
      assert.ok(statSync(lab.outside('h1', DOCKER)).isSocket())
      assert.ok(statSync(lab.outside('h1', API)).isSocket())
    }
    assert.match(await manager.hears(/^STOPPING=1$/m), /packets pass on/)
  },
)

clusterTest('a watching manager hears that the daemon lives', NO_DAEMONS, async (cluster) => {
  const { lab, executable } = cluster
  using manager = await Manager.open(lab, executable, [], ['WATCHDOG_USEC=500000'])
  const pid = await manager.start()
  await manager.hears(/^READY=1$/m)
  await manager.hears(/^WATCHDOG=1$/m)
  // Threads that hang are no daemon that lives; a stopped process says nothing, and goes on afterwards.
  process.kill(pid, 'SIGSTOP')
  process.kill(pid, 'SIGCONT')
  await manager.hears(/^WATCHDOG=1$/m)
  assert.equal(await manager.end(pid, 'SIGTERM'), 'ended 0')
})

clusterTest(
  'what the unit leaves the daemon suffices for its work',
  NO_DAEMONS,
  async (cluster) => {
    const { lab, executable } = cluster
    const unit = readFileSync(UNIT, 'utf8')
    const lines = unit.match(/(?<=^CapabilityBoundingSet=).*$/gm) ?? []
    const capabilities = lines.flatMap((line) => line.split(' '))
    assert.ok(capabilities.length > 5 && /^NoNewPrivileges=yes$/m.test(unit))
    const kept = capabilities.map((name) => `+${name.replace('CAP_', '').toLowerCase()}`)
    const bound = ['setpriv', '--no-new-privs', `--bounding-set=-all,${kept.join(',')}`, '--']
    using manager = await Manager.open(lab, executable, [], bound)
    const pid = await manager.start()
    await manager.hears(/^READY=1$/m)
    assert.match(readFileSync(`/proc/${pid}/status`, 'utf8'), /^NoNewPrivs:\s+1$/m)
    await cluster.carrick('h1', 'network', 'create', 'blue', '--subnet', '10.80.0.0/16')
    const web = await cluster.attach('blue', 'h1', 'web')
    const client = await cluster.attach('blue', 'h1', 'client')
    await cluster.carrick('h1', 'publish', 'add', 'web', '80:80')
    const ping = ['ping', '-c', '1', '-W', '2', web.addresses[0] ?? '']
    assert.equal((await lab.runIn(client, ping)).exitCode, 0)
    await cluster.carrick('h1', 'detach', 'web')
    await cluster.settled('h1')
    assert.doesNotMatch(cluster.log('h1'), /EPERM|EACCES/)
    assert.equal(await manager.end(pid, 'SIGTERM'), 'ended 0')
  },
)

clusterTest(
  'SIGHUP takes over what may change, and tells the rest',
  NO_DAEMONS,
  async (cluster) => {
    const { lab, executable } = cluster
    using manager = await Manager.open(lab, executable)
    const pid = await manager.start()
    await manager.hears(/^READY=1$/m)
    writeFileSync(
      lab.outside('h1', '/etc/carrick/carrick.yaml'),
      'logLevel: debug\nvxlanPort: 4790\n',
    )
    process.kill(pid, 'SIGHUP')
    assert.match(await manager.hears(/^RELOADING=1$/m), /^MONOTONIC_USEC=\d+$/m)
    await manager.hears(/^READY=1$/m)
    assert.match(cluster.log('h1'), /settings that need a restart/)
    assert.match(cluster.log('h1'), /\["vxlanPort"\]/)
    await activate(lab)
    assert.match(cluster.log('h1'), /"level":"debug"/)

    writeFileSync(lab.outside('h1', '/etc/carrick/carrick.yaml'), 'logLevle: info\n')
    process.kill(pid, 'SIGHUP')
    await manager.hears(/^READY=1$/m)
    assert.match(cluster.log('h1'), /what was in force stays so/)
    assert.equal(await manager.end(pid, 'SIGTERM'), 'ended 0')
  },
)

clusterTest(
  'a daemon that waits for its store tells engines so, who it is, and lets others start',
  NO_DAEMONS,
  async ({ lab, executable }) => {
    const away = ['--store', 'etcd://192.0.2.1:2379']
    using manager = await Manager.open(lab, executable, away)
    const capabilities = ask(lab, DOCKER, '/NetworkDriver.GetCapabilities')
    const refused = ask(lab, DOCKER, '/IpamDriver.RequestPool', '{"AddressSpace":"x"}')
    const pid = await manager.start()
    assert.deepEqual(await capabilities, { Scope: 'local', ConnectivityScope: 'global' })
    const { Err, Error: error } = (await refused) as { Err: string; Error: string }
    assert.match(Err, /^carrick: .*waits for the shared store/)
    assert.equal(error, Err)
    assert.match(await manager.hears(/^READY=1$/m), /^STATUS=Waiting for the shared store/m)
    assert.equal(await manager.end(pid, 'SIGTERM'), 'ended 0')
  },
)
