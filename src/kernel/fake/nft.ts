/**
 * nftables of the fake kernel: tables with their objects, changed by libnftables' JSON in transactions. Of
 * nft's own language it knows whole tables, whose rules it keeps as text, chains, and elements of sets and maps. An
 * element of a map goes by its key.
 */
import { isDeepStrictEqual } from 'node:util'
import { NetworkError } from '../../lib/errors.ts'
import type { Nftables } from '../kernel.ts'
import type { NftElement } from '../nftables/objects.ts'
import { fakeNftQueries } from './nft-queries.ts'
import { type FakeNamespace, type NftTable, tell } from './state.ts'

type Fields = Readonly<Record<string, unknown>>
const VERBS = ['add', 'create', 'insert', 'delete', 'flush']

export function fakeNft(own: FakeNamespace): Nftables {
  const transaction = (work: (ruleset: Ruleset) => void) => {
    const ruleset = new Ruleset(own.nftTables)
    work(ruleset)
    const names = new Set([...own.nftTables.keys(), ...ruleset.tables.keys()])
    const changed = [...names].filter((key) => own.nftTables.get(key) !== ruleset.tables.get(key))
    own.nftTables.clear()
    for (const [key, table] of ruleset.tables) own.nftTables.set(key, table)
    for (const key of changed) {
      tell(own, { kind: 'nft', table: key.split(' ')[1], elements: false, own: false })
    }
  }
  return {
    run: (commands) => transaction((ruleset) => runText(ruleset, commands)),
    runJson: ({ nftables }) =>
      transaction((ruleset) => {
        for (const command of nftables) {
          const [verb, object] = onlyEntry(command as Fields)
          if (VERBS.includes(verb)) ruleset.apply(verb, ...onlyEntry(object as Fields))
          else if (verb !== 'metainfo') ruleset.apply('add', verb, object)
        }
      }),
    change: (changes) =>
      transaction((ruleset) => {
        for (const { verb, family, table, name, elements } of changes) {
          ruleset.apply(verb, 'element', { family, table, name, elem: elements })
        }
      }),
    ...fakeNftQueries(own),
    listTable: (family, name, { terse = false } = {}) => {
      const table = own.nftTables.get(`${family} ${name}`)
      const objects = terse ? table?.objects.map(withoutElements) : table?.objects
      return objects && [{ table: { family, name } }, ...objects]
    },
    listElements: ({ family, table, kind, name }) => {
      const objects = own.nftTables.get(`${family} ${table}`)?.objects ?? []
      const found = objects.find((each) => (each[kind] as Fields | undefined)?.['name'] === name)
      const set = found?.[kind] as Fields | undefined
      return set && ((set['elem'] ?? []) as readonly unknown[])
    },
  }
}

/** A copy that becomes the ruleset when every command of the transaction was possible. */
class Ruleset {
  readonly tables: Map<string, NftTable>
  #handle: number

  constructor(tables: ReadonlyMap<string, NftTable>) {
    this.tables = new Map(tables)
    this.#handle = 1 + [...tables.values()].reduce((sum, { objects }) => sum + objects.length, 0)
  }

  apply(verb: string, kind: string, value: unknown): void {
    if (kind === 'ruleset') {
      this.tables.clear()
      return
    }
    const fields = value as Fields
    if (kind === 'table') this.#table(verb, `${fields['family']}`, `${fields['name']}`)
    else if (kind === 'element') this.#elements(verb, fields)
    else this.#object(verb, kind, fields)
  }

  /** Adds what a table declaration in nft's language says: chains with their rules as text, sets and maps. */
  text(family: string, table: string, body: string): void {
    this.#table('add', family, table)
    for (let rest = body.trim(); rest !== ''; ) {
      const [matched, kind = '', name = ''] = /^(chain|set|map) ([\w-]+)\s*\{/.exec(rest) ?? []
      if (matched === undefined) refuse(`the fake kernel does not know "${rest.slice(0, 60)}"`)
      const end = closingBrace(rest, matched.length)
      const lines = rest
        .slice(matched.length, end)
        .split(/[\n;]/)
        .map((line) => line.trim())
        .filter((line) => line !== '')
      const spec = lines.filter((line) => kind !== 'chain' || /^(type|policy) /.test(line))
      this.apply('add', kind, { family, table, name, ...hookOf(spec.join('; ')) })
      for (const text of lines.filter((line) => !spec.includes(line))) {
        this.apply('add', 'rule', { family, table, chain: name, expr: [{ text }] })
      }
      rest = rest.slice(end + 1).trim()
    }
  }

  #table(verb: string, family: string, name: string): void {
    const key = `${family} ${name}`
    const table = this.tables.get(key)
    if (verb === 'add' && table === undefined) this.tables.set(key, { family, name, objects: [] })
    if (verb === 'add') return
    if (verb === 'create') {
      if (table !== undefined) refuse('File exists')
      this.tables.set(key, { family, name, objects: [] })
      return
    }
    if (table === undefined) refuse('No such file or directory')
    if (verb === 'delete') this.tables.delete(key)
    else
      this.tables.set(key, { ...table, objects: table.objects.filter((each) => !('rule' in each)) })
  }

  #object(verb: string, kind: string, fields: Fields): void {
    const { table, key } = this.#of(fields)
    const at = table.objects.findIndex((each) => sameObject(each[kind], fields, kind))
    const put = (objects: NftTable['objects']) => this.tables.set(key, { ...table, objects })
    if (verb === 'delete' || verb === 'flush') {
      if (at < 0) refuse('No such file or directory')
      const without = table.objects.filter((each, i) => {
        if (kind === 'chain' && inChain(each['rule'], fields)) return false
        return verb === 'flush' || i !== at
      })
      put(
        verb === 'flush' && kind !== 'chain'
          ? replaceAt(without, at, emptied(without[at], kind))
          : without,
      )
      return
    }
    if (at >= 0 && kind !== 'rule') {
      if (verb === 'create') refuse('File exists')
      return
    }
    const made = { [kind]: { ...fields, handle: this.#handle++ } }
    put(verb === 'insert' ? [made, ...table.objects] : [...table.objects, made])
  }

  #elements(verb: string, fields: Fields): void {
    const { table, key } = this.#of(fields)
    const at = table.objects.findIndex((each) =>
      ['set', 'map'].some(
        (kind) => (each[kind] as Fields | undefined)?.['name'] === fields['name'],
      ),
    )
    const holder = table.objects[at]
    if (holder === undefined) refuse('No such file or directory')
    const [kind, value] = onlyEntry(holder)
    const set = value as Fields
    const have = (set['elem'] ?? []) as readonly unknown[]
    const given = fields['elem'] as readonly unknown[]
    const meant = new Map(given.map((each) => [keyOfElement(each), each]))
    const there = have.filter((each) => meant.has(keyOfElement(each)))
    if (verb === 'delete' && there.length < meant.size) refuse('No such file or directory')
    if (verb !== 'delete') {
      const alike = (each: unknown) => isDeepStrictEqual(each, meant.get(keyOfElement(each)))
      if (!there.every(alike)) refuse('File exists')
    }
    const others = have.filter((each) => !there.includes(each))
    const elem = verb === 'delete' ? others : [...others, ...meant.values()]
    this.tables.set(key, {
      ...table,
      objects: replaceAt(table.objects, at, { [kind]: { ...set, elem } }),
    })
  }

  #of(fields: Fields): { readonly table: NftTable; readonly key: string } {
    const key = `${fields['family']} ${fields['table']}`
    return { table: this.tables.get(key) ?? refuse('No such file or directory'), key }
  }
}

function runText(ruleset: Ruleset, commands: string): void {
  const rest = commands.replace(/^\s*#.*$/gm, '').trim()
  for (let text = rest; text !== ''; text = text.replace(/^[\s;]+/, '')) {
    const simple = /^(add|create|delete|flush) table (\w+) ([\w-]+)(?!\s*\{)/.exec(text)
    const whole = /^(?:add )?table (\w+) ([\w-]+)\s*\{/.exec(text)
    const chain = /^(add|flush|delete) chain (\w+) ([\w-]+) ([\w-]+)(?:\s*\{([^}]*)\})?/.exec(text)
    const element = /^(add|create|delete) element (\w+) ([\w-]+) ([\w-]+)\s*\{([^}]*)\}/.exec(text)
    if (simple !== null) {
      const [matched, verb = '', family, name] = simple
      ruleset.apply(verb, 'table', { family, name })
      text = text.slice(matched.length)
    } else if (whole !== null) {
      const [matched, family = '', name = ''] = whole
      const end = closingBrace(text, matched.length)
      ruleset.text(family, name, text.slice(matched.length, end).trim())
      text = text.slice(end + 1)
    } else if (chain !== null) {
      const [matched, verb = '', family, table, name, spec = ''] = chain
      ruleset.apply(verb, 'chain', { family, table, name, ...hookOf(spec) })
      text = text.slice(matched.length)
    } else if (element !== null) {
      const [matched, verb = '', family, table, name, list = ''] = element
      const elem = list.split(',').map((each) => each.trim())
      ruleset.apply(verb, 'element', { family, table, name, elem })
      text = text.slice(matched.length)
    } else {
      refuse(`the fake kernel does not know the command "${text.slice(0, 60)}"`)
    }
  }
}

function closingBrace(text: string, from: number): number {
  let depth = 1
  for (let at = from; at < text.length; at++) {
    if (text[at] === '{') depth++
    else if (text[at] === '}' && --depth === 0) return at
  }
  return refuse('syntax error, unexpected end of file')
}

/** Where a base chain stands, as libnftables-json(5) tells it. */
function hookOf(spec: string): Fields {
  const found = /type (\w+) hook (\w+) priority (-?\d+)/.exec(spec)
  if (found === null) return {}
  const [, type, hook, priority] = found
  return { type, hook, prio: Number(priority), policy: /policy (\w+)/.exec(spec)?.[1] ?? 'accept' }
}

/** Rules are told apart by handle, everything else by name. */
function sameObject(have: unknown, fields: Fields, kind: string): boolean {
  if (have === undefined) return false
  const key = kind === 'rule' ? 'handle' : 'name'
  return fields[key] !== undefined && (have as Fields)[key] === fields[key]
}

function inChain(rule: unknown, chain: Fields): boolean {
  return rule !== undefined && (rule as Fields)['chain'] === chain['name']
}

function emptied(object: Fields | undefined, kind: string): Fields {
  const { elem: _, ...rest } = (object?.[kind] ?? {}) as Fields
  return { [kind]: rest }
}

/** By which an element is found: as text or JSON it is that itself, without what a map leads to. */
function keyOfElement(element: unknown): string {
  if (typeof element === 'string') return element.split(' : ')[0] ?? ''
  const { key } = element as Partial<NftElement>
  return key === undefined ? JSON.stringify(element) : Buffer.from(key).toString('hex')
}

function withoutElements(object: Fields): Fields {
  const [kind, value] = onlyEntry(object)
  return kind === 'set' || kind === 'map' ? emptied({ [kind]: value }, kind) : object
}

function replaceAt<T>(list: readonly T[], at: number, value: T): readonly T[] {
  return list.map((each, i) => (i === at ? value : each))
}

function onlyEntry(object: Fields): readonly [string, unknown] {
  const entry = Object.entries(object)[0]
  if (entry === undefined) refuse('syntax error, empty object')
  return entry
}

function refuse(reason: string): never {
  const errno = { 'No such file or directory': 'ENOENT', 'File exists': 'EEXIST' }[reason]
  throw new NetworkError('kernel', `Cannot change or list nftables: ${reason}`, {
    details: { operation: 'nftables', errno, ack: reason },
  })
}
