/**
 * What the executable is to whoever started it: the command line, a plug-in of CNI, or one of netavark. It is one file under several
 * names, mostly links, so neither the name nor the place of the file itself tells.
 */

export interface Start {
  /** As the caller wrote it: a path, or a bare name found in PATH. */
  readonly argv0: string
  /** Without the program itself. */
  readonly args: readonly string[]
  /** Where the file really is. */
  readonly execPath: string
  readonly command: string | undefined
  /** Asked only when nothing else tells. */
  isTerminal(): boolean
}

/**
 * `plugin`: a runtime calls. `banner`: Nomad runs every file of its plug-in directory without arguments and
 * CNI_COMMAND, and looks for a version. A user who does that in a shell wants help, which is `cli`.
 * `netavark`: it or Podman calls, by verbs that are no words of the command line.
 */
export function roleOf(start: Start): 'cli' | 'plugin' | 'banner' | 'netavark' {
  if (start.args.length > 0) return isCallOfNetavark(start) ? 'netavark' : 'cli'
  if (start.command !== undefined && start.command !== '') return 'plugin'
  return isRunAsPlugin(start) ? 'banner' : 'cli'
}

/** By a path to a place of plug-ins, or through a link from elsewhere while nobody types. */
function isRunAsPlugin({ argv0, execPath, isTerminal }: Start): boolean {
  const slash = argv0.lastIndexOf('/')
  if (slash < 0) return false
  const directory = argv0.slice(0, slash)
  if (directory.split('/').includes('cni')) return true
  return directory !== execPath.slice(0, execPath.lastIndexOf('/')) && !isTerminal()
}

/** How many arguments follow a verb of netavark's plug-ins. */
const NETAVARK_ARGUMENTS: Readonly<Record<string, number>> = {
  create: 0,
  setup: 1,
  teardown: 1,
  info: 0,
}

/** A user who types such a word by mistake is told so. */
function isCallOfNetavark({ argv0, args, isTerminal }: Start): boolean {
  const [verb = '', ...rest] = args
  if (!Object.hasOwn(NETAVARK_ARGUMENTS, verb) || rest.length !== NETAVARK_ARGUMENTS[verb])
    return false
  return argv0.split('/').slice(0, -1).includes('netavark') || !isTerminal()
}
