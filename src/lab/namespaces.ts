/**
 * Makes and drops the namespaces of a lab. They are held by pins on the lab's own tmpfs, so no process need
 * live for a host to exist. That tmpfs is private: a mount namespace can be pinned on no other.
 */
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { MS, mount, unmount } from '../kernel/mount.ts'
import { NetworkError } from '../lib/errors.ts'
import { CONTAINER_SCRIPT, CONTAINERS_SCRIPT, HOST_SCRIPT, SWITCH_SCRIPT } from './host-mounts.ts'
import { containerPath, hostPath, LABS, labPath, pinsPath, processesPath, SWITCH } from './paths.ts'
import { runTool } from './processes.ts'
import { removeShared } from './remove-shared.ts'

/** Takes the lab's name and mounts its directory; `already-exists` when the name is in use. */
export function makeLabDirectory(lab: string): void {
  const path = labPath(lab)
  // One call, since the last lab to come down takes the parent with it; it tells nothing when nothing was made.
  if (mkdirSync(path, { recursive: true }) === undefined) {
    throw new NetworkError('already-exists', `Cannot make lab "${lab}": it is up`, {
      hint: `carrick lab down ${lab}`,
    })
  }
  mount('carrick-lab', path, 'tmpfs', MS.NOSUID | MS.NODEV, 'mode=0755')
  mount('none', path, '', MS.PRIVATE)
  mkdirSync(processesPath(lab))
}

/** A network namespace for the bridges between hosts. */
export async function makeSwitch(lab: string): Promise<void> {
  const net = makePins(lab, SWITCH, ['net'])
  await runTool('make the switch', ['unshare', ...net, 'sh', '-c', SWITCH_SCRIPT])
}

/** Network, mount and UTS namespace of one host, furnished. */
export async function makeHost(lab: string, host: string): Promise<void> {
  const own = hostPath(lab, host)
  for (const part of ['run', 'etc', 'lib', 'cache']) mkdirSync(join(own, part), { recursive: true })
  mkdirSync(join(labPath(lab), 'containers', host), { recursive: true })
  const pins = makePins(lab, host, ['net', 'mnt', 'uts'])
  const script = ['sh', '-c', HOST_SCRIPT, 'sh', own, host, randomBytes(16).toString('hex')]
  const attempt = `make host "${host}"`
  await runTool(attempt, ['unshare', '--propagation', 'private', ...pins, ...script])
}

/** Network namespaces of containers, pinned outside and under the host's own /run/netns. */
export async function makeContainers(
  lab: string,
  host: string,
  names: readonly string[],
): Promise<void> {
  const pins = join(labPath(lab), 'containers', host)
  const mnt = join(pinsPath(lab, host), 'mnt')
  const script = ['sh', '-c', CONTAINERS_SCRIPT, 'sh', pins, mnt, ...names]
  await runTool(`make containers on "${host}"`, script, { CONTAINER: CONTAINER_SCRIPT })
}

/** Drops a container's two pins; content when they are gone. */
export async function removeContainer(lab: string, host: string, name: string): Promise<void> {
  const drop = '! mountpoint -q "$1" || umount "$1"; rm -f "$1"'
  const mnt = join(pinsPath(lab, host), 'mnt')
  const inside = ['nsenter', `--mount=${mnt}`, 'sh', '-c', drop, 'sh', `/run/netns/${name}`]
  await runTool(`remove container "${name}"`, inside)
  const pin = containerPath(lab, host, name)
  await runTool(`remove container "${name}"`, ['sh', '-c', drop, 'sh', pin])
}

/** Every namespace pinned in the lab, as paths. */
export function listPins(lab: string): readonly string[] {
  return mountsBelow(labPath(lab)).filter((point) => point !== labPath(lab))
}

/** Unmounts the lab's directory with every pin in it, and deletes it; content when it is gone. */
export function removeLabDirectory(lab: string): void {
  const path = labPath(lab)
  for (const point of mountsBelow(path)) unmount(point)
  rmSync(path, { recursive: true, force: true })
  removeShared(LABS, 'ENOTEMPTY')
}

function makePins(lab: string, host: string, kinds: readonly string[]): readonly string[] {
  const directory = pinsPath(lab, host)
  mkdirSync(directory, { recursive: true })
  return kinds.map((kind) => {
    const pin = join(directory, kind)
    writeFileSync(pin, '')
    return `--${kind === 'mnt' ? 'mount' : kind}=${pin}`
  })
}

/** Mount points at and below `path`, innermost first. Field 5 of /proc/pid/mountinfo. */
function mountsBelow(path: string): readonly string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .flatMap((line) => line.split(' ')[4] ?? [])
    .filter((point) => point === path || point.startsWith(`${path}/`))
    .reverse()
}
