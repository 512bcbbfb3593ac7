/**
 * The runtimes of this host as far as CNI is concerned: which are there, what each needs to be told so that it sees
 * our list and executable, and which of them has lost sight of the directory. They watch its inode, so that a
 * directory made anew under the same name is another one to them (containerd issue 11209).
 */

import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'

/** Where runtimes look unless they are told otherwise. */
export const CONFIG_DIRECTORY = '/etc/cni/net.d'
export const PROGRAM_DIRECTORY = '/opt/cni/bin'

interface Runtime {
  readonly name: string
  readonly programs: readonly string[]
  /** How it is told of other directories than the usual ones. */
  readonly configSetting: string
  readonly programSetting: string
  /** Where it looks without being told. */
  readonly configDirectory: string
  readonly programDirectories: readonly string[]
  /** Plug-ins of others without which it attaches nothing. */
  readonly companions?: readonly string[]
  /** Its settings, in which other directories may be said already. */
  readonly settings?: { readonly file: string; readonly config: RegExp; readonly program: RegExp }
  /** What a user types, or what happens by itself. */
  readonly use: (network: string, first: boolean) => string
}

const ANYWHERE = [
  '/usr/local/libexec/cni',
  '/usr/libexec/cni',
  '/usr/local/lib/cni',
  '/usr/lib/cni',
  PROGRAM_DIRECTORY,
]

const RUNTIMES: readonly Runtime[] = [
  {
    name: 'Podman (CNI)',
    programs: ['podman'],
    configSetting: 'network_config_dir in [network] of containers.conf',
    programSetting: 'cni_plugin_dirs in [network] of containers.conf',
    configDirectory: CONFIG_DIRECTORY,
    programDirectories: ANYWHERE,
    use: (network) =>
      `podman --network-backend cni run --network ${network} …, or network_backend = "cni" in containers.conf; Podman 5 has netavark only`,
  },
  {
    name: 'containerd',
    programs: ['containerd'],
    configSetting: 'conf_dir in [plugins."io.containerd.grpc.v1.cri".cni] of config.toml',
    programSetting: 'bin_dir in [plugins."io.containerd.grpc.v1.cri".cni] of config.toml',
    configDirectory: CONFIG_DIRECTORY,
    programDirectories: [PROGRAM_DIRECTORY],
    companions: ['loopback'],
    // Debian's package says /usr/lib/cni there.
    settings: {
      file: '/etc/containerd/config.toml',
      config: /^\s*conf_dir\s*=\s*["']([^"']+)/m,
      program: /^\s*bin_dirs?\s*=\s*\[?\s*["']([^"']+)/m,
    },
    use: (network, first) =>
      first
        ? `pods, and \`ctr run --cni\`, are in ${network} from now on`
        : `pods are in the network of the first list, not in ${network}`,
  },
  {
    name: 'nerdctl',
    programs: ['nerdctl'],
    configSetting: 'cni_netconfpath in nerdctl.toml',
    programSetting: 'cni_path in nerdctl.toml',
    configDirectory: CONFIG_DIRECTORY,
    programDirectories: ANYWHERE,
    use: (network) => `nerdctl run --net ${network} …`,
  },
  {
    name: 'CRI-O',
    programs: ['crio'],
    configSetting: 'network_dir in [crio.network] of crio.conf',
    programSetting: 'plugin_dirs in [crio.network] of crio.conf',
    configDirectory: CONFIG_DIRECTORY,
    programDirectories: [PROGRAM_DIRECTORY],
    use: (network, first) =>
      first
        ? `pods are in ${network} from now on`
        : `cni_default_network = "${network}" in [crio.network] of crio.conf puts pods there`,
  },
  {
    name: 'Nomad',
    programs: ['nomad'],
    configSetting: 'cni_config_dir in the client block of its agent',
    programSetting: 'cni_path in the client block of its agent',
    configDirectory: '/opt/cni/config',
    programDirectories: [PROGRAM_DIRECTORY],
    use: (network) => `network { mode = "cni/${network}" } in a group of a job`,
  },
]

const PATHS = ['/usr/bin', '/usr/sbin', '/usr/local/bin', '/usr/local/sbin', '/bin']

/** Where plug-ins go below `root`, unless a user says otherwise: where everybody looks, and the distribution's own. */
export function programDirectories(root: string): readonly string[] {
  const own = ['/usr/lib/cni', '/usr/libexec/cni'].filter((path) => isThere(`${root}${path}`))
  return [PROGRAM_DIRECTORY, ...own]
}

/** Where our list and executable are, below `root`. */
export interface Places {
  readonly root: string
  readonly directory: string
  readonly bins: readonly string[]
}

/** One sentence for each runtime that is installed: what it sees, and what to change if it does not. */
export function runtimeNotes(places: Places, network: string, first: boolean): readonly string[] {
  const { root, directory, bins } = places
  return RUNTIMES.filter((runtime) => isInstalled(runtime, root)).map((runtime) => {
    const { file = '', config, program } = runtime.settings ?? {}
    const text = file === '' ? '' : textOf(`${root}${file}`)
    const readsLists = config?.exec(text)?.[1] ?? runtime.configDirectory
    const looks = program?.exec(text)?.[1]
    const looksIn = looks === undefined ? runtime.programDirectories : [looks]
    const settings = [
      ...(readsLists === directory ? [] : [`${runtime.configSetting}: ${directory}`]),
      ...(looksIn.some((path) => bins.includes(path))
        ? []
        : [`${runtime.programSetting}: ${bins.join(', ')}`]),
    ]
    const lacks = (runtime.companions ?? []).filter(
      (plugin) => !looksIn.some((path) => isThere(`${root}${path}/${plugin}`)),
    )
    const needs =
      (settings.length === 0 ? '' : `; set ${settings.join(' and ')}`) +
      (lacks.length === 0
        ? ''
        : `; before 2.0 it needs the plug-in ${lacks.join(', ')} in ${looksIn.join(' or ')}`)
    return `${runtime.name}: ${runtime.use(network, first)}${needs}`
  })
}

function isInstalled({ programs }: Runtime, root: string): boolean {
  return programs.some((program) => PATHS.some((path) => isThere(`${root}${path}/${program}`)))
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined
}

/** A running process that ought to watch the directory and does not. */
export interface Blind {
  readonly name: string
  readonly pid: number
}

/** Processes that watch directories of lists, by their names in the kernel. */
const WATCHERS = ['containerd', 'crio']
const INOTIFY = 'anon_inode:inotify'

/**
 * Those of this process's own network namespace that can watch, but do not watch this directory: the kernel ends a watch
 * with what was watched. One that cannot watch at all runs no pods. proc_pid_fdinfo(5), `inotify wd:… ino:…`
 */
export function blindWatchers(directory: string, proc = '/proc'): readonly Blind[] {
  const inode = statSync(directory, { throwIfNoEntry: false })?.ino
  const here = identityOf(`${proc}/self/ns/net`)
  const blind: Blind[] = []
  for (const pid of readdirSync(proc).filter((name) => /^\d+$/.test(name))) {
    const name = textOf(`${proc}/${pid}/comm`).trim()
    if (!WATCHERS.includes(name) || identityOf(`${proc}/${pid}/ns/net`) !== here) continue
    const watched = watchedInodes(`${proc}/${pid}`)
    if (watched !== undefined && (inode === undefined || !watched.has(inode))) {
      blind.push({ name, pid: Number(pid) })
    }
  }
  return blind
}

/** Undefined for a process that has no inotify. */
function watchedInodes(process: string): ReadonlySet<number> | undefined {
  const fds = namesIn(`${process}/fd`).filter((fd) => linkOf(`${process}/fd/${fd}`) === INOTIFY)
  if (fds.length === 0) return undefined
  const found = new Set<number>()
  for (const fd of fds) {
    const lines = textOf(`${process}/fdinfo/${fd}`).matchAll(/^inotify .*\bino:([0-9a-f]+)/gm)
    for (const [, inode = ''] of lines) found.add(Number.parseInt(inode, 16))
  }
  return found
}

function identityOf(namespace: string): number | undefined {
  try {
    return statSync(namespace, { throwIfNoEntry: false })?.ino
  } catch {
    return undefined // of a process that is not ours to look into
  }
}

/** Empty for what is gone or not ours to read, as processes' files may be at any time. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}
