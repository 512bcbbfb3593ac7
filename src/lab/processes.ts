/**
 * Processes of a lab. Each is started by nsenter, which becomes it, so that its pid is the child's pid; a
 * file per process remembers what was started. At the end of a lab everything that still lives in one of its
 * namespaces is ended too: those were made by the lab, so whoever is in them descends from it.
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { NetworkError } from '../lib/errors.ts'

/** Namespaces to enter, as pin paths. */
export interface Enter {
  readonly net: string
  readonly mnt?: string
  readonly uts?: string
}

export interface StartOptions {
  /** Replaces the environment when given. */
  readonly env?: Readonly<Record<string, string>>
  readonly stdio?: SpawnOptions['stdio']
  /** Directory as the host sees it; `/` when absent. */
  readonly cwd?: string
}

export interface RunOptions extends StartOptions {
  /** Text for standard input; without it there is none. */
  readonly input?: string
  /** The command is killed after this time, 60 s unless told; its exit code is then 137. */
  readonly timeoutMs?: number
}

export interface RunResult {
  readonly stdout: string
  readonly stderr: string
  /** 128 plus the signal's number when a signal ended it. */
  readonly exitCode: number
}

const SIGNALS: Readonly<Record<string, number>> = { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGTERM: 15 }
const GRACE_MS = 3000

/** The command that runs `argv` inside the namespaces. */
export function enterArgv(enter: Enter, argv: readonly string[], cwd?: string): readonly string[] {
  return [
    'nsenter',
    `--net=${enter.net}`,
    ...(enter.mnt === undefined ? [] : [`--mount=${enter.mnt}`]),
    ...(enter.uts === undefined ? [] : [`--uts=${enter.uts}`]),
    ...(cwd === undefined ? [] : [`--wdns=${cwd}`]),
    '--',
    ...argv,
  ]
}

/** Starts a command and remembers it under `directory` until it ends. */
export function start(
  directory: string,
  enter: Enter,
  argv: readonly string[],
  options: StartOptions = {},
): ChildProcess {
  const [file, ...rest] = enterArgv(enter, argv, options.cwd)
  const child = spawn(file ?? 'nsenter', rest, {
    stdio: options.stdio ?? 'pipe',
    ...(options.env === undefined ? {} : { env: { ...options.env } }),
  })
  const { pid } = child
  if (pid !== undefined) {
    const record = join(directory, String(pid))
    writeFileSync(record, `${JSON.stringify({ pid, startTicks: startTicks(pid), argv })}\n`)
    child.once('exit', () => rmSync(record, { force: true }))
  }
  return child
}

/** Collects a child's output to its end. */
export async function collect(child: ChildProcess, options: RunOptions = {}): Promise<RunResult> {
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk))
  child.stdin?.on('error', () => {}) // a command may end without reading what it was given
  child.stdin?.end(options.input ?? '')
  const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? 60_000)
  try {
    return {
      exitCode: await exitOf(child),
      stdout: Buffer.concat(stdout).toString(),
      stderr: Buffer.concat(stderr).toString(),
    }
  } finally {
    clearTimeout(timer)
  }
}

/** Waits for the end of a child; throws `kernel` when it could not be started. */
export function exitOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', (cause) => {
      reject(
        new NetworkError('kernel', `Cannot run ${child.spawnfile}: ${cause.message}`, { cause }),
      )
    })
    child.once('close', (code, signal) => resolve(code ?? 128 + (SIGNALS[signal ?? ''] ?? 0)))
  })
}

/** Runs a tool of the machine; throws `kernel` with the tool's own words when it fails. */
export async function runTool(
  attempt: string,
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  const [file, ...rest] = argv
  const child = spawn(file ?? '', rest, { env: { ...process.env, ...env } })
  const { stderr, exitCode } = await collect(child)
  if (exitCode !== 0) {
    throw new NetworkError('kernel', `Cannot ${attempt}: ${stderr.trim() || `exit ${exitCode}`}`)
  }
}

/**
 * Ends what was remembered under `directory` and whoever lives in the pinned namespaces: first asked, then
 * after a grace period killed; and the `contained`, who are killed at once. Returns when all are gone;
 * throws `timeout` naming those that stay.
 */
export async function endProcesses(
  directory: string,
  pins: readonly string[],
  contained: () => readonly number[],
): Promise<void> {
  const inodes = new Set(pins.flatMap((pin) => namespaceInode(pin) ?? []))
  const alive = () => {
    const left = contained().filter((pid) => startTicks(pid) !== undefined)
    for (const pid of left) signalProcess(pid, 'SIGKILL')
    return [...new Set([...left, ...remembered(directory), ...inhabitants(inodes)])]
  }
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const asked = new Set<number>()
    const deadline = Date.now() + GRACE_MS
    for (let pids = alive(); pids.length > 0 && Date.now() < deadline; pids = alive()) {
      for (const pid of pids) {
        if (!asked.has(pid)) signalProcess(pid, signal)
        asked.add(pid)
      }
      await sleep(10)
    }
  }
  const left = alive()
  if (left.length > 0) {
    throw new NetworkError('timeout', `Cannot end processes of the lab: ${left.join(', ')} stay`)
  }
}

function signalProcess(pid: number, signal: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Remembered processes that are still the same ones: a pid is used again, its start time is not. */
function remembered(directory: string): readonly number[] {
  return entriesOf(directory)
    .map(Number)
    .filter((pid) => {
      const ticks = startTicks(pid)
      return ticks !== undefined && ticks === recordedTicks(join(directory, String(pid)))
    })
}

function recordedTicks(path: string): string | undefined {
  try {
    const record: unknown = JSON.parse(readFileSync(path, 'utf8'))
    return typeof record === 'object' && record !== null && 'startTicks' in record
      ? String(record.startTicks)
      : undefined
  } catch {
    return undefined // ended meanwhile, or the writer died half way: the namespaces tell
  }
}

function inhabitants(inodes: ReadonlySet<number>): readonly number[] {
  return entriesOf('/proc')
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
    .map(Number)
    .filter((pid) =>
      ['net', 'mnt', 'uts'].some((kind) => {
        const inode = namespaceOf(pid, kind)
        return inode !== undefined && inodes.has(inode)
      }),
    )
}

/** Inode of a process's namespace; a dead or foreign process has none. */
function namespaceOf(pid: number, kind: string): number | undefined {
  try {
    const inode = /\[(\d+)\]/.exec(readlinkSync(`/proc/${pid}/ns/${kind}`))?.[1]
    return inode === undefined ? undefined : Number(inode)
  } catch {
    return undefined
  }
}

/** Inode of a pinned namespace; a file nothing is mounted on has an inode of another file system. */
function namespaceInode(pin: string): number | undefined {
  const own = statSync('/proc/self/ns/net')
  const found = statSync(pin, { throwIfNoEntry: false })
  return found?.dev === own.dev ? found.ino : undefined
}

/** Start time in clock ticks since boot: field 22 of proc_pid_stat(5). */
function startTicks(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? undefined : fields[19]
  } catch {
    return undefined
  }
}

function entriesOf(directory: string): readonly string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
