/**
 * Every setting of the daemon: name, meaning, form and default in one schema, from which the flags
 * (`--state-dir`), the environment (`CARRICK_STATE_DIR`), the keys of the file and the reference come.
 * Each parser takes what people type as well as the typed value of a file. Conventions §2 and §3.
 */

import { z } from 'zod'
import { parseDuration } from '../lib/units.ts'
import { isName } from '../model/names.ts'
import { RESOLVER4, RESOLVER6 } from '../model/resolver.ts'
import { familyOf, type IP, parseIP } from '../net/ip.ts'
import { isMarkMask } from '../net/mark-mask.ts'

/** Where to listen: an address, or `''` for every address of the host. */
export interface Listen {
  readonly address: string
  readonly port: number
}

export type StoreSetting =
  | { readonly kind: 'embedded' }
  | { readonly kind: 'etcd'; readonly endpoints: readonly Listen[] }

const file = z.string().min(1).startsWith('/', 'a path from / is needed')

const port = z.preprocess(numberIn, z.int().min(1).max(65_535))

const durationMs = z.preprocess(
  (value) => (typeof value === 'string' ? (parseDuration(value, 'ms') ?? value) : value),
  z.int('a duration like 30s or a number of milliseconds is needed').positive(),
)

const markMask = z.preprocess(
  (value) => (typeof value === 'string' && /^0x[0-9a-f]+$/i.test(value) ? Number(value) : value),
  z.int('a number like 0xffc00000 is needed').refine(isMarkMask, 'ten contiguous bits are needed'),
)

const listen = z.string().transform((text, context): Listen => {
  const found = parseListen(text)
  if (found !== undefined) return found
  context.issues.push({ code: 'custom', message: 'ADDRESS:PORT or :PORT is needed', input: text })
  return z.NEVER
})

const fileOrNone = z
  .string()
  .refine((text) => text === '' || text.startsWith('/'), 'a path from / is needed, or nothing')

const store = z.string().transform((text, context): StoreSetting => {
  const found = parseStore(text)
  if (found !== undefined) return found
  const message = 'embedded or etcd://HOST:PORT,HOST:PORT is needed'
  context.issues.push({ code: 'custom', message, input: text })
  return z.NEVER
})

const addresses = z.preprocess(
  (value) => (typeof value === 'string' ? value.split(',').filter((text) => text !== '') : value),
  z.array(
    z.string().transform((text, context): IP => {
      const ip = parseIP(text)
      if (ip !== undefined) return ip
      context.issues.push({ code: 'custom', message: `"${text}" is no address`, input: text })
      return z.NEVER
    }),
  ),
)

const engine = z.string().transform((text, context): string => {
  if (text === '' || text.startsWith('unix:///')) return text.replace('unix://', '')
  const message = 'unix:///PATH is needed, or nothing'
  context.issues.push({ code: 'custom', message, input: text })
  return z.NEVER
})

export const Settings = z.strictObject({
  stateDir: file.describe('Keys, certificates, store and journal'),
  runDir: file.describe('Sockets and handles that last until the next boot'),
  socket: file.describe('Unix socket of the REST API (default: carrick.sock in runDir)'),
  socketGroup: z.string().min(1).describe('Group that may use the socket, if the machine has it'),
  store: store.describe('Shared store: embedded, or etcd://HOST:PORT,HOST:PORT'),
  storeCa: file.optional().describe('CA certificate of the etcd servers, PEM'),
  storeCert: file.optional().describe('Client certificate for etcd, PEM'),
  storeKey: file.optional().describe('Key of storeCert, PEM'),
  hostName: z
    .string()
    .refine(isName, 'lower case letters, digits and inner dashes are needed')
    .describe('Name of this host in the cluster (default: its own)'),
  underlayAddresses: addresses.describe(
    'Addresses where other hosts send packets, at most one per family (default: those of underlayDevice)',
  ),
  underlayDevice: z
    .string()
    .min(1)
    .optional()
    .describe('Device towards the other hosts (default: that of the default route)'),
  listen: listen.describe('Where the embedded store is served to hosts that joined'),
  joinListen: listen.describe('Where hosts with a token ask to join'),
  dockerEngine: engine.describe('API of this host’s Docker engine; empty: it is not followed'),
  dockerSocket: fileOrNone.describe('Where Docker finds the plug-in; empty: nowhere'),
  dockerListen: listen
    .optional()
    .describe('Where Docker finds the plug-in over TLS, as a .json file in its directory tells'),
  dockerCa: file.optional().describe('CA certificate of the engines that may call there, PEM'),
  dockerCert: file.optional().describe('Certificate shown to engines there, PEM'),
  dockerKey: file.optional().describe('Key of dockerCert, PEM'),
  dockerScope: z
    .enum(['local', 'global'])
    .describe('Scope of networks: global for swarm, which takes it from a managed plug-in only'),
  vxlanPort: port.describe('UDP port of VXLAN, the same on all hosts'),
  probePeriodMs: durationMs.describe('How often the path to each host is probed'),
  packetMarkMask: markMask.describe(
    'Ten contiguous bits of the packet mark that nobody else on this host uses',
  ),
  resolverAddresses: addresses
    .refine(
      (all) => new Set(all.map(familyOf)).size === all.length,
      'at most one address per family is needed',
    )
    .describe('Where containers ask for names, the same on all hosts; empty: names are not served'),
  resolverServers: addresses.describe(
    'Resolvers asked for all other names (default: those of /etc/resolv.conf)',
  ),
  resolverDomain: z
    .string()
    .refine(
      (text) => text === '' || text.split('.').every(isName),
      'lower case letters, digits, inner dashes and dots are needed',
    )
    .describe('Domain behind which every name is ours; empty: there is none'),
  bpfDir: file.describe('Pinned BPF maps and programs; not shifted by --root'),
  logLevel: z.enum(['error', 'warn', 'info', 'debug']).meta({
    description: 'Least important messages to log',
    live: true,
  }),
  reconcilePeriodMs: durationMs.describe('How often everything is compared with the kernel'),
})

export type Settings = z.output<typeof Settings>
export type SettingName = keyof Settings

/** What a setting is for, and whether SIGHUP changes it. */
export function aboutSetting(name: SettingName): { description: string; live: boolean } {
  const meta = Settings.shape[name].meta() ?? {}
  return { description: meta.description ?? '', live: meta['live'] === true }
}

export const SETTING_NAMES = Object.keys(Settings.shape) as readonly SettingName[] // the schema's own keys

/** Defaults as text, so that they are read and shown like everything else. */
export function defaultSettings(
  root: string,
  osHostName: string,
): Readonly<Partial<Record<SettingName, string>>> {
  return {
    stateDir: `${root}/var/lib/carrick`,
    runDir: `${root}/run/carrick`,
    socketGroup: 'carrick',
    store: 'embedded',
    hostName: nameFrom(osHostName),
    underlayAddresses: '',
    listen: ':7440',
    joinListen: ':7441',
    dockerEngine: `unix://${root}/var/run/docker.sock`,
    dockerSocket: `${root}/run/docker/plugins/carrick.sock`,
    dockerScope: 'local',
    vxlanPort: '4789',
    probePeriodMs: '5m',
    packetMarkMask: '0xffc00000',
    resolverAddresses: `${RESOLVER4},${RESOLVER6}`,
    resolverServers: '',
    resolverDomain: 'carrick',
    bpfDir: '/sys/fs/bpf/carrick',
    logLevel: 'info',
    reconcilePeriodMs: '10m',
  }
}

/** `192.0.2.1:7440`, `[::1]:7440`, `h1.example.org:7440` or `:7440`. */
export function parseListen(text: string): Listen | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([A-Za-z0-9.-]*)):(\d{1,5})$/i.exec(text)
  const number = Number(match?.[3])
  if (match === null || number < 1 || number > 65_535) return undefined
  if (match[1] !== undefined && parseIP(match[1].toLowerCase()) === undefined) return undefined
  return { address: match[1] ?? match[2] ?? '', port: number }
}

function parseStore(text: string): StoreSetting | undefined {
  if (text === 'embedded') return { kind: 'embedded' }
  if (!text.startsWith('etcd://')) return undefined
  const endpoints = text.slice('etcd://'.length).split(',').map(parseListen)
  const known = endpoints.filter((endpoint) => endpoint !== undefined && endpoint.address !== '')
  return known.length === endpoints.length
    ? { kind: 'etcd', endpoints: known as Listen[] }
    : undefined
}

function numberIn(value: unknown): unknown {
  return typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value
}

/** The first label of the host's name, as far as it can be one of ours. */
function nameFrom(osHostName: string): string {
  const [label = ''] = osHostName.toLowerCase().split('.')
  const name = label.replace(/[^a-z0-9]+/g, '-').slice(0, 63)
  return name.replace(/^-+|-+$/g, '') || 'host'
}
