/** The lab itself: hosts that are apart, a wire that carries and can be cut, and nothing left afterwards. */

import { afterEach, setDefaultTimeout, test } from 'bun:test'
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createLab, type Lab, listLabs, openLab, removeLab } from '../../src/lab/lab.ts'
import { LABS, labPath } from '../../src/lab/paths.ts'
import { TOPOLOGIES, type Topology } from '../../src/lab/spec.ts'
import { isNetworkError } from '../../src/lib/errors.ts'

const NAME = `ckt-${process.pid}`
setDefaultTimeout(30_000)

afterEach(async () => {
  await removeLab(NAME)
  await removeLab(`${NAME}-b`)
})

/** A refused connection is an answer; silence ends after half a second. */
async function answers(lab: Lab, from: string, address: string): Promise<boolean> {
  const argv = ['bash', '-c', `exec 3<>/dev/tcp/${address}/9`]
  return (await lab.run(from, argv, { timeoutMs: 500 })).stderr.includes('Connection refused')
}

function labOf(topology: Topology): Promise<Lab> {
  return createLab({ name: NAME, hosts: 2, topology })
}

for (const topology of TOPOLOGIES) {
  test(`a ${topology} wire carries both families${topology === 'pair' ? '' : ', none while a host is cut off'}`, async () => {
    await using lab = await labOf(topology)
    const addresses = lab.hosts[1]?.underlay.map(({ ip }) => ip) ?? []
    assert.equal(addresses.length, 2)
    for (const address of addresses) assert.ok(await answers(lab, 'h1', address), address)
    for (const family of ['-4', '-6']) {
      const { stdout } = await lab.run('h1', ['ip', family, 'route', 'show', 'default'])
      assert.match(stdout, /^default .*dev eth0/)
    }
    if (topology === 'pair') return
    lab.cut('h2')
    for (const address of addresses) assert.ok(!(await answers(lab, 'h1', address)), address)
    lab.heal('h2')
    for (const address of addresses) assert.ok(await answers(lab, 'h1', address), address)
  })
}

test('hosts have files, a name and devices of their own', async () => {
  await using lab = await createLab({ name: NAME, hosts: 2 })
  const script = `set -e
    hostname; hostname > /run/own; hostname > /var/lib/carrick/own; hostname > /etc/carrick/own
    hostname > /etc/anything; mkdir /sys/fs/bpf/own; ls /sys/class/net`
  const said = await Promise.all(lab.hosts.map(({ name }) => lab.run(name, ['sh', '-c', script])))
  assert.deepEqual(
    said.map(({ stdout }) => stdout),
    ['h1\neth0\nlo\n', 'h2\neth0\nlo\n'],
  )
  for (const path of ['/run/own', '/var/lib/carrick/own', '/etc/carrick/own']) {
    assert.equal(readFileSync(lab.outside('h2', path), 'utf8'), 'h2\n')
    assert.ok(!existsSync(path), path)
  }
  assert.ok(!existsSync('/etc/anything'))
  assert.ok(!existsSync('/sys/fs/bpf/own'))
  const ids = await Promise.all(
    lab.hosts.map(({ name }) => lab.run(name, ['cat', '/etc/machine-id'])),
  )
  assert.notEqual(ids[0]?.stdout, ids[1]?.stdout)
})

test('a smaller hop is found by path MTU discovery', async () => {
  await using lab = await createLab({ name: NAME, hosts: 2, topology: 'routed', hopMtuBytes: 1400 })
  const address = lab.hosts[1]?.underlay[0].ip
  const lookup = async () => (await lab.run('h1', ['ip', 'route', 'get', `${address}`])).stdout
  assert.doesNotMatch(await lookup(), /mtu/)
  const send = `head -c 1472 /dev/zero > /dev/udp/${address}/9`
  const deadline = Date.now() + 5000
  do await lab.run('h1', ['bash', '-c', send])
  while (!/mtu 1400/.test(await lookup()) && Date.now() < deadline)
  assert.match(await lookup(), /mtu 1400/)
})

test('containers are seen by their host and can be joined by a bare pair', async () => {
  await using lab = await createLab({ name: NAME, hosts: 1 })
  const [left, right] = await lab.containers('h1', ['left', 'right'])
  assert.ok(left !== undefined && right !== undefined)
  assert.equal((await lab.run('h1', ['ls', '/run/netns'])).stdout, 'left\nright\n')
  const inode = async (argv: readonly string[]) => (await lab.run('h1', argv)).stdout
  const inside = await lab.runIn(left, ['stat', '-Lc', '%i', '/proc/self/ns/net'])
  assert.equal(inside.stdout, await inode(['stat', '-c', '%i', left.netns]))
  await lab.joinBare(left, ['198.51.100.1/24', '2001:db8:9::1/64'], right, [
    '198.51.100.2/24',
    '2001:db8:9::2/64',
  ])
  for (const address of ['198.51.100.2', '2001:db8:9::2']) {
    const argv = ['bash', '-c', `exec 3<>/dev/tcp/${address}/9`]
    assert.match((await lab.runIn(left, argv)).stderr, /Connection refused/)
  }
  await lab.removeContainer(left)
  await lab.removeContainer(left)
  assert.equal((await lab.run('h1', ['ls', '/run/netns'])).stdout, 'right\n')
  assert.ok(!existsSync(left.pin))
})

test('a command gives back what it said and how it ended', async () => {
  await using lab = await createLab({ name: NAME, hosts: 1 })
  const said = await lab.run('h1', ['sh', '-c', 'cat; pwd; echo oops >&2; exit 7'], {
    input: 'in\n',
    cwd: '/usr',
  })
  assert.deepEqual(said, { stdout: 'in\n/usr\n', stderr: 'oops\n', exitCode: 7 })
  assert.equal((await lab.run('h1', ['sh', '-c', 'kill -TERM $$'])).exitCode, 143)
  assert.equal((await lab.run('h1', ['no-such-command'])).exitCode, 127)
})

test('a lab comes down with all that lives in it, and again when there is nothing', async () => {
  const lab = await createLab({ name: NAME, hosts: 2 })
  const container = await lab.container('h1', 'x')
  const children = [
    lab.spawn('h1', ['sleep', '1000']),
    lab.spawnIn(container, ['sh', '-c', 'setsid sleep 1000 & trap "" TERM; echo deaf; sleep 1000']),
  ]
  await new Promise((resolve) => children[1]?.stdout?.once('data', resolve))
  const ended = children.map((child) => new Promise((resolve) => child.once('exit', resolve)))
  assert.deepEqual(openLab(NAME).spec, lab.spec)
  await removeLab(NAME)
  await Promise.all(ended)
  assert.ok(!existsSync(labPath(NAME)))
  assert.doesNotMatch(readFileSync('/proc/self/mountinfo', 'utf8'), new RegExp(`${NAME}`))
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    assert.doesNotMatch(mountsOf(pid), new RegExp(`${NAME}`), `process ${pid}`)
  }
  await removeLab(NAME)
})

test('a lab of the same name is refused, of another stands beside it', async () => {
  await using lab = await createLab({ name: NAME, hosts: 1 })
  await assert.rejects(
    () => createLab({ name: NAME, hosts: 1 }),
    (error) => isNetworkError(error, 'already-exists'),
  )
  await using other = await createLab({ name: `${NAME}-b`, hosts: 1 })
  assert.equal((await lab.run('h1', ['hostname'])).exitCode, 0)
  assert.equal((await other.run('h1', ['hostname'])).exitCode, 0)
  const names = listLabs().map(({ name }) => name)
  assert.ok(names.includes(lab.name) && names.includes(other.name))
  // A host must not hold another lab's namespaces: they would outlive it.
  const held = await other.run('h1', ['cat', '/proc/self/mountinfo'])
  assert.doesNotMatch(held.stdout, new RegExp(`${LABS}/${NAME}(/| )`))
})

test('labs come and go beside each other', async () => {
  const once = async (name: string) => {
    await using lab = await createLab({ name, hosts: 2 })
    return (await lab.run('h2', ['hostname'])).stdout
  }
  for (let round = 0; round < 3; round++) {
    assert.deepEqual(await Promise.all([once(NAME), once(`${NAME}-b`)]), ['h2\n', 'h2\n'])
  }
})

test('a lab that died half way through its making is found and removed', async () => {
  const script = `
    const { makeLabDirectory, makeHost } = await import('${new URL('../../src/lab/namespaces.ts', import.meta.url)}')
    makeLabDirectory('${NAME}')
    await makeHost('${NAME}', 'h1')
    process.kill(process.pid, 'SIGKILL')`
  assert.equal(spawnSync(process.execPath, ['-e', script]).signal, 'SIGKILL')
  assert.deepEqual(
    listLabs().filter(({ name }) => name === NAME),
    [{ name: NAME, spec: undefined }],
  )
  assert.throws(
    () => openLab(NAME),
    (error) => isNetworkError(error, 'not-found'),
  )
  await removeLab(NAME)
  assert.ok(!existsSync(labPath(NAME)))
  assert.doesNotMatch(readFileSync('/proc/self/mountinfo', 'utf8'), new RegExp(NAME))
})

for (const name of ['..', '../carrick', '', '.', 'a/b', 'A']) {
  test(`"${name}" is no name of a lab, and nothing is removed for it`, async () => {
    const invalid = (error: unknown) => isNetworkError(error, 'invalid')
    await assert.rejects(() => removeLab(name), invalid)
    assert.throws(() => openLab(name), invalid)
  })
}

/** Mounts as a process sees them; one that ended meanwhile has none. */
function mountsOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
  } catch {
    return ''
  }
}
