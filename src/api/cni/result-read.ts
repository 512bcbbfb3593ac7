/**
 * Results of other plug-ins, and our own when they come back: every wire form, each index checked. An index that
 * points nowhere kills some runtimes, so it goes no further than here. Spec, "Results", 0.1.0 to 1.1.0.
 */

import type { CniVersion } from '../../cni/exchange.ts'
import { type IP, parseIP } from '../../net/ip.ts'
import { type Prefix, prefixAround } from '../../net/prefix.ts'
import { type Fields, noSense } from './fields.ts'
import type { CniAddress, CniDns, CniInterface, CniResult, CniRoute } from './result.ts'
import { isAtLeast, readVersion } from './versions.ts'

/**
 * Reads a result of the version it names, or of `fallback` when it names none. Throws codes 1, 6 and 7.
 */
export function readResult(fields: Fields, fallback: CniVersion): CniResult {
  const named = fields.text('cniVersion')
  const version = named === undefined ? fallback : readVersion(named, fields.wayTo('cniVersion'))
  const dns = readDns(fields.object('dns'))
  if (!isAtLeast(version, '0.3.0')) return { interfaces: [], ...readFamilies(fields), dns }
  const interfaces = fields.objects('interfaces').map(readInterface)
  return {
    interfaces,
    ips: fields.objects('ips').map((one) => readIps(one, interfaces.length)),
    routes: readRoutes(fields, 'routes'),
    dns,
  }
}

/** Up to 0.2.0: one address of each family with the routes of that family. */
function readFamilies(fields: Fields): Pick<CniResult, 'ips' | 'routes'> {
  const ips: CniAddress[] = []
  const routes: CniRoute[] = []
  for (const key of ['ip4', 'ip6']) {
    if (fields.value(key) === undefined) continue
    const family = fields.object(key)
    const gateway = family.address('gateway')
    ips.push({
      ...readAddress(family, 'ip'),
      ...(gateway === undefined ? {} : { gateway }),
    })
    routes.push(...readRoutes(family, 'routes'))
  }
  return { ips, routes }
}

function readInterface(fields: Fields): CniInterface {
  const mac = fields.text('mac')
  if (mac !== undefined && !isHardwareAddress(mac)) {
    throw noSense(fields.wayTo('mac'), mac, 'a MAC address is needed')
  }
  const mtuBytes = fields.integer('mtu', 0, 0xffff_ffff)
  const sandbox = fields.text('sandbox')
  const socketPath = fields.text('socketPath')
  const pciId = fields.text('pciID')
  return {
    name: fields.text('name') ?? '',
    ...(mac === undefined ? {} : { mac: mac.toLowerCase().replaceAll('-', ':') }),
    ...(mtuBytes === undefined || mtuBytes === 0 ? {} : { mtuBytes }),
    ...(sandbox === undefined ? {} : { sandbox }),
    ...(socketPath === undefined ? {} : { socketPath }),
    ...(pciId === undefined ? {} : { pciId }),
  }
}

/** Six bytes, or InfiniBand's eight and twenty: what Go's net.ParseMAC takes. */
function isHardwareAddress(text: string): boolean {
  return /^[0-9a-f]{2}(([:-][0-9a-f]{2}){5}|([:-][0-9a-f]{2}){7}|([:-][0-9a-f]{2}){19})$/i.test(
    text,
  )
}

function readIps(fields: Fields, interfaceCount: number): CniAddress {
  const gateway = fields.address('gateway')
  const index = fields.integer('interface', -(2 ** 31), 2 ** 31)
  if (index !== undefined && (index < 0 || index >= interfaceCount)) {
    const needed =
      interfaceCount === 0
        ? 'the result has no interfaces'
        : `the result has the interfaces 0 to ${interfaceCount - 1}`
    throw noSense(fields.wayTo('interface'), String(index), needed)
  }
  return {
    ...readAddress(fields, 'address'),
    ...(gateway === undefined ? {} : { gateway }),
    ...(index === undefined ? {} : { interface: index }),
  }
}

function readAddress(fields: Fields, key: string): Pick<CniAddress, 'address' | 'length'> {
  const text = fields.text(key) ?? ''
  const parsed = parseAddressWithLength(text)
  if (parsed?.length === undefined) {
    throw noSense(fields.wayTo(key), text, 'an address with the length of its prefix is needed')
  }
  return { address: parsed.address, length: parsed.length }
}

/** `a` or `a/n`; undefined when it is neither. */
export function parseAddressWithLength(
  text: string,
): { readonly address: IP; readonly length?: number } | undefined {
  const [before = '', after, ...rest] = text.split('/')
  const address = parseIP(before)
  if (address === undefined || rest.length > 0) return undefined
  if (after === undefined) return { address }
  const most = address.includes(':') ? 128 : 32
  if (!/^(0|[1-9]\d{0,2})$/.test(after) || Number(after) > most) return undefined
  return { address, length: Number(after) }
}

/** A list of routes; a destination with host bits means the prefix it is in. */
export function readRoutes(parent: Fields, key: string): readonly CniRoute[] {
  return parent.objects(key).map((fields) => {
    const via = fields.address('gw')
    const mtuBytes = fields.integer('mtu', 0, 0xffff_ffff)
    const advmssBytes = fields.integer('advmss', 0, 0xffff_ffff)
    const priority = fields.integer('priority', 0, 0xffff_ffff)
    const table = fields.integer('table', 0, 0xffff_ffff)
    const scope = fields.integer('scope', 0, 255)
    return {
      to: readDestination(fields),
      ...(via === undefined ? {} : { via }),
      ...(mtuBytes === undefined || mtuBytes === 0 ? {} : { mtuBytes }),
      ...(advmssBytes === undefined || advmssBytes === 0 ? {} : { advmssBytes }),
      ...(priority === undefined || priority === 0 ? {} : { priority }),
      ...(table === undefined ? {} : { table }),
      ...(scope === undefined ? {} : { scope }),
    }
  })
}

function readDestination(fields: Fields): Prefix {
  const text = fields.text('dst') ?? ''
  const parsed = parseAddressWithLength(text)
  if (parsed?.length === undefined) {
    throw noSense(fields.wayTo('dst'), text, 'a prefix like 192.0.2.0/24 is needed')
  }
  return prefixAround(parsed.address, parsed.length)
}

/** The object `dns` of results and configurations. */
export function readDns(fields: Fields): CniDns {
  const domain = fields.text('domain')
  return {
    nameservers: fields.texts('nameservers'),
    ...(domain === undefined ? {} : { domain }),
    search: fields.texts('search'),
    options: fields.texts('options'),
  }
}
