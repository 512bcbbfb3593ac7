/**
 * Where each setting comes from: flag, then environment, then file, then default. Pure: flags, environment
 * and the texts of the files come in; a value with its source goes out for each setting, or one error that
 * names everything wrong at once.
 */

import { parseDocument } from 'yaml'
import { type FieldError, NetworkError } from '../lib/errors.ts'
import { nearest } from '../lib/nearest.ts'
import { defaultSettings, SETTING_NAMES, type SettingName, Settings } from './settings.ts'

export interface SettingsInput {
  /** By setting name. */
  readonly flags: Readonly<Partial<Record<SettingName, string>>>
  readonly env: Readonly<Record<string, string | undefined>>
  /** In reading order: a later file wins. */
  readonly files: readonly { readonly path: string; readonly text: string }[]
  /** Put before every default path. */
  readonly root: string
  readonly osHostName: string
}

export interface SettingRow {
  readonly name: SettingName
  /** Undefined: not set, and there is no default. */
  readonly value: unknown
  /** `flag --x`, `environment X`, `file /x`, `default`. */
  readonly source: string
}

export interface ResolvedSettings {
  readonly settings: Settings
  readonly rows: readonly SettingRow[]
}

/** systemd's own variables for directories, systemd.exec(5); several directories are told with colons. */
const SYSTEMD: Readonly<Partial<Record<SettingName, string>>> = {
  stateDir: 'STATE_DIRECTORY',
  runDir: 'RUNTIME_DIRECTORY',
}

/** Throws `invalid` with every unknown key and every wrong value. */
export function resolveSettings(input: SettingsInput): ResolvedSettings {
  const wrong: FieldError[] = []
  const fromFiles = readFiles(input.files, wrong)
  const defaults = defaultSettings(input.root, input.osHostName)
  const rows = SETTING_NAMES.map((name): SettingRow => {
    const flag = input.flags[name]
    if (flag !== undefined) return { name, value: flag, source: `flag ${flagOf(name)}` }
    for (const variable of [environmentOf(name), SYSTEMD[name]]) {
      const value = variable === undefined ? undefined : input.env[variable]
      if (value === undefined || value === '') continue
      const text = variable === SYSTEMD[name] ? value.split(':')[0] : value
      return { name, value: text, source: `environment ${variable}` }
    }
    const set = fromFiles.get(name)
    if (set !== undefined) return { name, value: set.value, source: `file ${set.path}` }
    return { name, value: defaults[name], source: 'default' }
  })
  const complete = withSocket(rows)
  const settings = parse(complete, wrong)
  return { settings, rows: complete }
}

/** `stateDir` is `--state-dir`. */
export function flagOf(name: SettingName): string {
  return `--${words(name).join('-')}`
}

/** `stateDir` is `CARRICK_STATE_DIR`. */
export function environmentOf(name: SettingName): string {
  return `CARRICK_${words(name).join('_').toUpperCase()}`
}

function words(name: string): string[] {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`).split(' ')
}

/** The socket lies in runDir unless it was put elsewhere. */
function withSocket(rows: readonly SettingRow[]): SettingRow[] {
  const runDir = rows.find(({ name }) => name === 'runDir')?.value
  return rows.map((row) =>
    row.name === 'socket' && row.value === undefined
      ? { ...row, value: `${runDir}/carrick.sock` }
      : row,
  )
}

function readFiles(
  files: SettingsInput['files'],
  wrong: FieldError[],
): Map<string, { value: unknown; path: string }> {
  const found = new Map<string, { value: unknown; path: string }>()
  for (const { path, text } of files) {
    const document = parseDocument(text)
    const [error] = document.errors
    if (error !== undefined) {
      wrong.push({ pointer: path, message: error.message.split('\n')[0] ?? error.code })
      continue
    }
    const content: unknown = document.toJS() ?? {}
    if (typeof content !== 'object' || content === null || Array.isArray(content)) {
      wrong.push({ pointer: path, message: 'keys with values are needed' })
      continue
    }
    for (const [key, value] of Object.entries(content)) {
      if ((SETTING_NAMES as readonly string[]).includes(key)) found.set(key, { value, path })
      else wrong.push({ pointer: `${path}: ${key}`, message: unknownKey(key) })
    }
  }
  return found
}

function unknownKey(key: string): string {
  const meant = nearest(key, SETTING_NAMES)
  return `there is no such setting${meant === undefined ? '' : `, did you mean "${meant}"?`}`
}

function parse(rows: readonly SettingRow[], wrong: FieldError[]): Settings {
  const set = rows.filter(({ value }) => value !== undefined)
  const result = Settings.safeParse(Object.fromEntries(set.map(({ name, value }) => [name, value])))
  if (result.success) wrong.push(...disagreements(result.data))
  else {
    for (const { path, message } of result.error.issues) {
      const source = rows.find(({ name }) => name === path[0])?.source ?? 'default'
      wrong.push({ pointer: `${String(path[0])} (${source})`, message })
    }
  }
  if (result.success && wrong.length === 0) return result.data
  const list = wrong.map(({ pointer, message }) => `${pointer}: ${message}`).join('; ')
  throw new NetworkError('invalid', `Cannot use the settings: ${list}`, {
    fields: wrong,
    hint: 'carrick daemon --help',
  })
}

/** What is right alone and wrong together. */
function disagreements(settings: Settings): FieldError[] {
  const { store, storeCa, storeCert, storeKey, underlayAddresses } = settings
  const wrong: FieldError[] = []
  const files = { storeCa, storeCert, storeKey }
  for (const [pointer, value] of Object.entries(files)) {
    if (value !== undefined && store.kind === 'embedded') {
      wrong.push({ pointer, message: 'it is for a store of etcd, and the store is embedded' })
    }
  }
  if ((storeCert === undefined) !== (storeKey === undefined)) {
    wrong.push({ pointer: 'storeCert', message: 'it needs storeKey, and storeKey needs it' })
  }
  const { dockerListen, dockerCa, dockerCert, dockerKey } = settings
  for (const [pointer, value] of Object.entries({ dockerCa, dockerCert, dockerKey })) {
    if ((value === undefined) === (dockerListen === undefined)) continue
    const message = `dockerListen ${value === undefined ? 'needs it' : 'is not set'}`
    wrong.push({ pointer, message })
  }
  const families = underlayAddresses.map((ip) => ip.includes(':'))
  if (new Set(families).size !== families.length) {
    wrong.push({ pointer: 'underlayAddresses', message: 'at most one per family' })
  }
  if (settings.listen.port === settings.joinListen.port) {
    wrong.push({ pointer: 'joinListen', message: 'it has the port of listen' })
  }
  return wrong
}
