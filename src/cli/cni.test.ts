/** `carrick cni install`, `uninstall` and `status` on the files below a directory, before a fake daemon. */

import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fakeEndpoint, fakeNetwork } from '../api/rest/fake-control.ts'
import { VERSION } from '../lib/version.ts'
import { CNI_LABELS } from '../model/cni.ts'
import { planInstall } from './cni-install.ts'
import { type CliScene, startCli } from './testing.ts'
import { filesBelow } from './testing-files.ts'

const DIRECTORY = 'etc/cni/net.d'
const FIRST = `${DIRECTORY}/10-carrick.conflist`
const BIN = 'opt/cni/bin/carrick'

let cli: CliScene
let root = ''
const { put, read, all } = filesBelow(() => root)
beforeEach(async () => {
  cli = await startCli()
  root = mkdtempSync(join(tmpdir(), 'ckt-cni-'))
  put('usr/bin/carrick', `#!/bin/sh\necho ${VERSION}\n`)
  chmodSync(join(root, 'usr/bin/carrick'), 0o755)
})
afterEach(async () => {
  await cli[Symbol.asyncDispose]()
  rmSync(root, { recursive: true, force: true })
})

function run(verb: 'install' | 'uninstall' | 'status', more = '') {
  const program = verb === 'install' ? `--executable ${root}/usr/bin/carrick` : ''
  return cli.run(`cni ${verb} --root ${root} ${program} ${more}`)
}

/** Every file below the root but the program itself, with its text. */
function files(): Record<string, string> {
  const { 'usr/bin/carrick': _program, ...others } = all()
  return others
}

test('install puts the program and then the list, and uninstall takes exactly that back', async () => {
  put('etc/cni/net.d/87-podman-bridge.conflist', '{"name":"podman","plugins":[{"type":"bridge"}]}')
  const before = files()
  const installed = await run('install')
  assert.equal(installed.exit, 0, installed.err)
  assert.match(installed.out, /^copy .*\/opt\/cni\/bin\/carrick.*\nwrite .*10-carrick\.conflist/)
  const list = JSON.parse(read(FIRST))
  assert.equal(list.name, 'blue')
  assert.equal(list.cniVersion, '1.0.0')
  assert.deepEqual(list.cniVersions, ['0.4.0', '1.0.0', '1.1.0'])
  assert.equal(list.plugins.length, 1)
  assert.equal(list.plugins[0].type, 'carrick')
  assert.equal(list.plugins[0].network, 'blue')
  assert.equal(list.plugins[0].capabilities.ips, true)
  assert.equal(statSync(join(root, FIRST)).mode & 0o777, 0o644)
  assert.equal(statSync(join(root, BIN)).mode & 0o777, 0o755)

  const once = files()
  assert.equal((await run('install')).out, 'everything is installed already\n')
  assert.deepEqual(files(), once)

  const uninstalled = await run('uninstall')
  assert.match(
    uninstalled.out,
    /^remove .*10-carrick\.conflist.*\nremove .*\/opt\/cni\/bin\/carrick/,
  )
  assert.deepEqual(files(), before)
  assert.equal((await run('uninstall')).out, 'nothing is installed\n')
})

test('on the machine itself the program is linked to, and a copy gives way to the link', () => {
  const places = { root, directory: '/etc/cni/net.d', bins: ['/opt/cni/bin'], netavark: undefined }
  const program = `${root}/usr/bin/carrick`
  const wish = { network: 'blue', program, socket: undefined, disableGc: undefined } as const
  put(BIN, 'an old copy')
  const [change] = planInstall(places, { ...wish, how: 'link' }).changes
  assert.deepEqual(change?.kind === 'link' && change.target, program)
})

test('the small program beside ours is linked to for CNI, and is not copied', () => {
  const netavark = '/usr/libexec/netavark'
  const places = { root, directory: '/etc/cni/net.d', bins: ['/opt/cni/bin', '/usr/bin'], netavark }
  const program = `${root}/usr/bin/carrick`
  const wish = { network: 'blue', program, socket: undefined, disableGc: undefined } as const
  put('usr/bin/carrick-cni', '')
  const targets = (how: 'link' | 'copy') =>
    planInstall(places, { ...wish, how }).changes.flatMap((change) =>
      change.kind === how ? [[change.path, change.target]] : [],
    )
  assert.deepEqual(targets('link'), [
    [`${root}/${BIN}`, `${program}-cni`],
    [`${root}${netavark}/carrick`, program],
  ])
  assert.deepEqual(targets('copy')[0], [`${root}/${BIN}`, program])
})

test('--bin names several directories, and a program is not linked to itself', async () => {
  await run('install', '--bin /usr/lib/cni --bin /opt/cni/bin --netavark /usr/libexec/netavark')
  for (const path of ['usr/lib/cni/carrick', BIN, 'usr/libexec/netavark/carrick']) {
    assert.equal(read(path), read('usr/bin/carrick'))
  }
  const { changes } = planInstall(
    { root, directory: '/etc/cni/net.d', bins: ['/usr/bin'], netavark: undefined },
    {
      ...{ network: 'blue', program: `${root}/usr/bin/carrick`, how: 'link' },
      ...{ socket: undefined, disableGc: undefined },
    },
  )
  assert.equal(
    changes.some(({ kind }) => kind === 'link'),
    false,
  )
})

test('the distribution’s directory of plug-ins gets the program too', async () => {
  put('usr/lib/cni/bridge', '')
  await run('install')
  assert.deepEqual(
    [BIN, 'usr/lib/cni/carrick'].map((path) => existsSync(join(root, path))),
    [true, true],
  )
  await run('uninstall')
  assert.deepEqual(Object.keys(files()), ['usr/lib/cni/bridge'])
})

test('which network: the only one, the one named, and words about what to type otherwise', async () => {
  cli.control.networks.push(fakeNetwork('green', 2))
  const unclear = await run('install')
  assert.equal(unclear.exit, 2)
  assert.match(unclear.err, /blue, green\nhint: carrick cni install --network blue/)
  const unknown = await run('install', '--network red')
  assert.equal(unknown.exit, 3)
  assert.match(unknown.err, /there are blue, green\nhint: carrick network create red/)

  await run('install', '--network green')
  await run('install', '--network blue')
  assert.equal(JSON.parse(read(FIRST)).name, 'green')
  assert.equal(JSON.parse(read(`${DIRECTORY}/11-carrick-blue.conflist`)).name, 'blue')
  const { out } = await run('uninstall', '--network grene')
  assert.equal(out, 'no list named grene is installed\n')
  await run('uninstall', '--network green')
  assert.deepEqual(existsSync(join(root, BIN)), true, 'the other list needs it')

  cli.control.networks.length = 0
  const none = await run('install')
  assert.equal(none.exit, 3)
  assert.match(none.err, /no network yet\nhint: carrick network create/)
})

test('a list stays as a user changed it, and gets what is missing', async () => {
  await run('install')
  const list = JSON.parse(read(FIRST))
  list.disableCheck = true
  list.cniVersions = ['1.0.0']
  list.plugins[0].mtu = 1400
  list.plugins[0].capabilities = { ips: true, bandwidth: false }
  list.plugins.push({ type: 'tuning' })
  put(FIRST, JSON.stringify(list))
  await run('install', '--disable-gc')
  const after = JSON.parse(read(FIRST))
  assert.deepEqual(after.plugins[1], { type: 'tuning' })
  assert.deepEqual(
    [after.disableCheck, after.disableGC, after.cniVersions],
    [true, true, ['1.0.0']],
  )
  assert.equal(after.plugins[0].mtu, 1400)
  assert.deepEqual(
    [after.plugins[0].capabilities.bandwidth, after.plugins[0].capabilities.aliases],
    [false, true],
  )
  assert.equal((await run('install')).out, 'everything is installed already\n')
  renameSync(join(root, FIRST), join(root, DIRECTORY, '00-carrick.conflist'))
  assert.equal((await run('install')).out, 'everything is installed already\n', 'found again')
})

test('the list names the daemon’s socket where it is another than usual, as seen in the root', async () => {
  const socketOf = () => JSON.parse(read(FIRST)).plugins[0].daemonSocket
  await run('install')
  assert.equal(socketOf(), cli.server.path)
  rmSync(join(root, FIRST))
  await cli.run(
    `cni install --root ${dirname(cli.server.path)} --executable ${root}/usr/bin/carrick`,
  )
  const list = join(dirname(cli.server.path), FIRST)
  assert.equal(JSON.parse(readFileSync(list, 'utf8')).plugins[0].daemonSocket, '/carrick.sock')
})

test('what is in the way is said before anything is written', async () => {
  put(`${DIRECTORY}/20-blue.conflist`, '{"name":"blue","plugins":[{"type":"bridge"}]}')
  const named = await run('install')
  assert.equal(named.exit, 4)
  assert.match(named.err, /20-blue\.conflist is a list of that name already/)
  rmSync(join(root, DIRECTORY), { recursive: true })
  put(FIRST, '{')
  const taken = await run('install')
  assert.equal(taken.exit, 4)
  assert.match(taken.err, /is not ours/)
  assert.equal(existsSync(join(root, BIN)), false)
})

test('nothing is installed while the daemon does not answer', async () => {
  await cli.server[Symbol.asyncDispose]()
  const { exit, err } = await run('install')
  assert.equal(exit, 6, err)
  assert.deepEqual(files(), {})
})

test('uninstall is refused while containers are attached by it, unless it is forced', async () => {
  await run('install')
  cli.control.endpoints.push(fakeEndpoint(3, { labels: { [CNI_LABELS.network]: 'blue' } }))
  const refused = await run('uninstall')
  assert.equal(refused.exit, 4)
  assert.match(refused.err, /web3 is attached by it/)
  assert.equal(existsSync(join(root, FIRST)), true)
  assert.equal((await run('uninstall', '--force')).exit, 0)
  assert.deepEqual(files(), {})

  await run('install')
  await cli.server[Symbol.asyncDispose]()
  assert.equal((await run('uninstall')).exit, 6)
  assert.equal((await run('uninstall', '--force')).exit, 0)
})

test('uninstall is refused while netavark’s containers are attached, unless another list needs the program', async () => {
  await run('install')
  const labels = { [CNI_LABELS.network]: 'netavark.blue' }
  cli.control.endpoints.push(fakeEndpoint(3, { labels }))
  assert.match((await run('uninstall')).err, /web3 is attached by it/)
  put(`${DIRECTORY}/50-mine.conflist`, '{"name":"mine","plugins":[{"type":"carrick"}]}')
  assert.equal((await run('uninstall')).exit, 0)
  assert.equal(existsSync(join(root, BIN)), true)
})

test('--dry-run tells the same and does nothing', async () => {
  const { out } = await run('install', '--dry-run')
  assert.match(out, /^would copy .*\nwould write /)
  assert.deepEqual(files(), {})
})

test('runtimes that are there are told of, with what they have to be told', async () => {
  for (const program of ['podman', 'containerd', 'nomad', 'crio']) put(`usr/bin/${program}`, '')
  put('etc/containerd/config.toml', '  bin_dir = "/usr/lib/cni"\n  conf_dir = "/etc/cni/net.d"\n')
  put('usr/lib/podman/netavark', '')
  const { err } = await run('install')
  assert.match(err, /Podman \(CNI\): podman --network-backend cni run --network blue …/)
  assert.match(err, /containerd: pods, .* set bin_dir .*: \/opt\/cni\/bin/)
  assert.match(
    err,
    /Nomad: network \{ mode = "cni\/blue" \}.* set cni_config_dir .*: \/etc\/cni\/net\.d/,
  )
  assert.match(err, /CRI-O: pods are in blue from now on\n/)
  assert.match(err, /podman network create -d carrick blue/)
  assert.equal(existsSync(join(root, 'usr/libexec/netavark/carrick')), true)
  await run('uninstall')
  await run('install', '--no-netavark')
  assert.equal(existsSync(join(root, 'usr/libexec/netavark/carrick')), false)
})

test('status shows lists, programs and attachments', async () => {
  await run('install')
  cli.control.endpoints.push(fakeEndpoint(3, { labels: { [CNI_LABELS.network]: 'blue' } }))
  const { out, exit } = await run('status')
  assert.equal(exit, 0)
  assert.match(out, /list: +10-carrick\.conflist: blue, 1 attached here/)
  assert.match(out, /program: +.*\/opt\/cni\/bin\/carrick: a copy, version/)
  assert.doesNotMatch(out, /problem/)
})

test('status says what stands in the way, and what mends it', async () => {
  await run('install')
  put(`${DIRECTORY}/00-broken.conflist`, '{"name": ')
  put(`${DIRECTORY}/05-other.conflist`, '{"name":"other","plugins":[{"type":"bridge"}]}')
  put(`${DIRECTORY}/30-red.conflist`, '{"name":"red","plugins":[{"type":"carrick"}]}')
  put(`${DIRECTORY}/40-blue.conflist`, '{"name":"blue","plugins":[{"type":"bridge"}]}')
  put('var/lib/carrick/cni-spool/1.json', '{}')
  const problems = async (): Promise<readonly { message: string; hint: string }[]> =>
    JSON.parse((await run('status', '-o json')).out).status.problems
  const all = await problems()
  for (const words of [
    /^00-broken\.conflist cannot be read \(it is not JSON\)/,
    /^05-other\.conflist \(other\) sorts before 10-carrick/,
    /^30-red\.conflist attaches to network red, which is not there/,
    /^40-blue\.conflist is a second list with the name blue/,
  ]) {
    assert.ok(
      all.some(({ message }) => words.test(message)),
      `${words}`,
    )
  }
  assert.equal(all.length, 4)
  assert.match((await run('status')).out, /waiting: +1 detached/)

  put(BIN, '#!/bin/sh\necho 0.0.1\n')
  assert.ok((await problems()).some(({ message }) => /is of version 0\.0\.1/.test(message)))
  rmSync(join(root, BIN))
  assert.ok((await problems()).some(({ message }) => /carrick is missing/.test(message)))
  await cli.server[Symbol.asyncDispose]()
  assert.match((await run('status')).out, /problem: +the daemon does not answer/)
  assert.equal((await run('status', '-q')).exit, 0)
})

test('a link that leads nowhere is told of', async () => {
  await run('install')
  const places = { root: '', directory: `${root}/${DIRECTORY}`, bins: [`${root}/opt/cni/bin`] }
  const program = `${root}/usr/bin/carrick`
  const { changes } = planInstall(
    { ...places, netavark: undefined },
    { network: 'blue', program, how: 'link', socket: undefined, disableGc: undefined },
  )
  const { carryOut } = await import('./changes.ts')
  for (const change of changes) await carryOut(change)
  assert.equal(readlinkSync(join(root, BIN)), program)
  assert.deepEqual(readdirSync(join(root, 'opt/cni/bin')), ['carrick'])
  rmSync(program)
  assert.ok(lstatSync(join(root, BIN)).isSymbolicLink())
  assert.match((await run('status')).out, /is of no use: .*usr\/bin\/carrick does not start/)
})
