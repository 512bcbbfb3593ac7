/**
 * A result as a runtime of any version wants it. Every interface in a sandbox has a MAC and every index an interface,
 * whatever came from the plug-ins before: podman and containerd fail, or die, without. Spec, "Results".
 */

import type { CniVersion } from '../../cni/exchange.ts'
import { familyOf, type IP } from '../../net/ip.ts'
import { prefixFamily } from '../../net/prefix.ts'
import { CNI_CODE, cniError } from './errors.ts'
import type { JsonObject } from './fields.ts'
import type { CniAddress, CniDns, CniInterface, CniResult, CniRoute } from './result.ts'
import { isAtLeast } from './versions.ts'

/** The JSON object of a result; throws code 1 for a version whose form has no room for what there is. */
export function writeResult(result: CniResult, version: CniVersion): JsonObject {
  checkIndexes(result)
  const dns = writeDns(result.dns)
  if (!isAtLeast(version, '0.3.0')) {
    if (result.ips.length === 0) {
      throw cniError(
        CNI_CODE.INCOMPATIBLE_VERSION,
        `Cannot tell the result at cniVersion "${version}": it has no address, which that version demands`,
        { hint: 'set cniVersion of the network’s list to 1.0.0' },
      )
    }
    return { cniVersion: version, ...writeFamily(result, 4), ...writeFamily(result, 6), dns }
  }
  const modern = isAtLeast(version, '1.1.0')
  const { interfaces, ips, routes } = result
  return {
    cniVersion: version,
    ...(interfaces.length === 0
      ? {}
      : { interfaces: interfaces.map((one) => writeInterface(one, modern)) }),
    ...(ips.length === 0 ? {} : { ips: ips.map((one) => writeIps(one, version)) }),
    ...(routes.length === 0 ? {} : { routes: routes.map((one) => writeRoute(one, modern)) }),
    dns,
  }
}

function checkIndexes({ interfaces, ips }: CniResult): void {
  for (const { interface: index, address } of ips) {
    if (index !== undefined && interfaces[index] === undefined) {
      throw new Error(`The interface ${index} of ${address} is none of ${interfaces.length}`)
    }
  }
}

function writeFamily({ ips, routes }: CniResult, family: 4 | 6): JsonObject {
  const first = ips.find(({ address }) => familyOf(address) === family)
  if (first === undefined) return {}
  const own = routes.filter(({ to }) => prefixFamily(to) === family)
  return {
    [`ip${family}`]: {
      ip: `${first.address}/${first.length}`,
      ...gatewayOf(first.gateway),
      ...(own.length === 0 ? {} : { routes: own.map((one) => writeRoute(one, false)) }),
    },
  }
}

function writeInterface(one: CniInterface, modern: boolean): JsonObject {
  const { name, mac, sandbox, mtuBytes, socketPath, pciId } = one
  const told = mac ?? (sandbox === undefined ? undefined : '00:00:00:00:00:00')
  return {
    name,
    ...(told === undefined ? {} : { mac: told }),
    ...(modern && mtuBytes !== undefined ? { mtu: mtuBytes } : {}),
    ...(sandbox === undefined ? {} : { sandbox }),
    ...(modern && socketPath !== undefined ? { socketPath } : {}),
    ...(modern && pciId !== undefined ? { pciID: pciId } : {}),
  }
}

function writeIps(one: CniAddress, version: CniVersion): JsonObject {
  return {
    ...(isAtLeast(version, '1.0.0') ? {} : { version: String(familyOf(one.address)) }),
    ...(one.interface === undefined ? {} : { interface: one.interface }),
    address: `${one.address}/${one.length}`,
    ...gatewayOf(one.gateway),
  }
}

function gatewayOf(gateway: IP | undefined): JsonObject {
  return gateway === undefined ? {} : { gateway }
}

function writeRoute(route: CniRoute, modern: boolean): JsonObject {
  const { to, via, mtuBytes, advmssBytes, priority, table, scope } = route
  return {
    dst: to,
    ...(via === undefined ? {} : { gw: via }),
    ...(modern && mtuBytes !== undefined ? { mtu: mtuBytes } : {}),
    ...(modern && advmssBytes !== undefined ? { advmss: advmssBytes } : {}),
    ...(modern && priority !== undefined ? { priority } : {}),
    ...(modern && table !== undefined ? { table } : {}),
    ...(modern && scope !== undefined ? { scope } : {}),
  }
}

function writeDns({ nameservers, domain, search, options }: CniDns): JsonObject {
  return {
    ...(nameservers.length === 0 ? {} : { nameservers }),
    ...(domain === undefined ? {} : { domain }),
    ...(search.length === 0 ? {} : { search }),
    ...(options.length === 0 ? {} : { options }),
  }
}
