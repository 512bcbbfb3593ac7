/**
 * Objects of JSON as Go's decoder reads them: the key itself first, then in any case; null is absent. What has the
 * wrong type is told with the way to it (code 6), what makes no sense as well (code 7).
 */

import type { NetworkError } from '../../lib/errors.ts'
import { type IP, parseIP } from '../../net/ip.ts'
import { CNI_CODE, cniError } from './errors.ts'

export type JsonObject = Readonly<Record<string, unknown>>

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** One object and the way to it, as `runtimeConfig.dns`. */
export class Fields {
  readonly #object: JsonObject
  readonly #way: string

  constructor(object: JsonObject, way = '') {
    this.#object = object
    this.#way = way
  }

  /** The way to a field, for messages. */
  wayTo(key: string): string {
    return this.#way === '' ? key : `${this.#way}.${key}`
  }

  /** Undefined when it is absent or null. */
  value(key: string): unknown {
    if (Object.hasOwn(this.#object, key)) return this.#object[key] ?? undefined
    const meant = key.toLowerCase()
    const found = Object.keys(this.#object).find((other) => other.toLowerCase() === meant)
    return found === undefined ? undefined : (this.#object[found] ?? undefined)
  }

  /** Undefined when it is absent or empty: Go knows no difference. */
  text(key: string): string | undefined {
    const value = this.value(key)
    if (value === undefined || value === '') return undefined
    if (typeof value !== 'string') throw wrongType(this.wayTo(key), 'text')
    return value
  }

  flag(key: string): boolean | undefined {
    const value = this.value(key)
    if (value !== undefined && typeof value !== 'boolean') {
      throw wrongType(this.wayTo(key), 'true or false')
    }
    return value
  }

  integer(key: string, least: number, most: number): number | undefined {
    const value = this.value(key)
    if (value === undefined) return undefined
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) {
      throw wrongType(this.wayTo(key), 'a whole number')
    }
    if (value < least || value > most) {
      throw noSense(this.wayTo(key), String(value), `a number from ${least} to ${most} is needed`)
    }
    return value
  }

  address(key: string): IP | undefined {
    const text = this.text(key)
    if (text === undefined) return undefined
    const address = parseIP(text)
    if (address === undefined) throw noSense(this.wayTo(key), text, 'an IP address is needed')
    return address
  }

  /** Empty when it is absent. */
  list(key: string): readonly unknown[] {
    const value = this.value(key) ?? []
    if (!Array.isArray(value)) throw wrongType(this.wayTo(key), 'a list')
    return value
  }

  texts(key: string): readonly string[] {
    return readTexts(this.list(key), this.wayTo(key))
  }

  /** Empty when it is absent. */
  objects(key: string): readonly Fields[] {
    return readObjects(this.list(key), this.wayTo(key))
  }

  /** Without any field when it is absent. */
  object(key: string): Fields {
    const value = this.value(key) ?? {}
    if (!isJsonObject(value)) throw wrongType(this.wayTo(key), 'an object')
    return new Fields(value, this.wayTo(key))
  }

  /** All fields that hold text, under their own names. */
  textsByKey(key: string): Readonly<Record<string, string>> {
    const value = this.value(key) ?? {}
    if (!isJsonObject(value)) throw wrongType(this.wayTo(key), 'an object')
    const texts: Record<string, string> = {}
    for (const [name, text] of Object.entries(value)) {
      if (typeof text !== 'string') throw wrongType(`${this.wayTo(key)}.${name}`, 'text')
      texts[name] = text
    }
    return texts
  }
}

export function readTexts(list: readonly unknown[], way: string): readonly string[] {
  return list.map((one, index) => {
    if (typeof one !== 'string') throw wrongType(`${way}[${index}]`, 'text')
    return one
  })
}

export function readObjects(list: readonly unknown[], way: string): readonly Fields[] {
  return list.map((one, index) => {
    if (!isJsonObject(one)) throw wrongType(`${way}[${index}]`, 'an object')
    return new Fields(one, `${way}[${index}]`)
  })
}

export function wrongType(way: string, needed: string): NetworkError {
  return cniError(CNI_CODE.DECODING_FAILURE, `Cannot read ${way}: ${needed} is needed`)
}

export function noSense(way: string, found: string, needed: string): NetworkError {
  return cniError(CNI_CODE.INVALID_CONFIG, `Cannot take ${way} "${found}": ${needed}`)
}
