/** Whether a network that is there is what somebody else's list of networks, of an engine or of Podman, says of it. */

import { NetworkError } from '../../lib/errors.ts'
import type { Network } from '../../model/network.ts'
import type { IP } from '../../net/ip.ts'
import type { Prefix } from '../../net/prefix.ts'
import type { NetworkOptions } from './options.ts'
import { gatewayIn } from './pools.ts'

/** What both can say; a gateway that is not named may be any. */
export interface Likeness {
  readonly internal: boolean
  readonly pools: readonly { readonly prefix: Prefix; readonly gateway?: IP | undefined }[]
  readonly options: Pick<NetworkOptions, 'carrier' | 'mtuBytes' | 'masquerade'>
}

/** Throws `conflict` with what is not as wanted, `problems` found before included; content when nothing is. */
export function refuseUnfit(
  network: Network,
  problems: readonly string[],
  { internal, pools, options }: Likeness,
): void {
  const { name } = network
  const all = [...problems]
  if (internal && !network.internal) all.push('it is not internal')
  for (const { prefix, gateway } of pools) {
    const own = gatewayIn(network, prefix)
    if (own === undefined) {
      all.push(`it has subnet ${network.prefixes.join(' and ')}, not ${prefix}`)
    } else if (gateway !== undefined && gateway !== own) {
      all.push(`its gateway is ${own}, not ${gateway}`)
    }
  }
  const { carrier, mtuBytes, masquerade } = options
  if (carrier !== undefined && carrier !== network.carrier) {
    all.push(`its carrier is ${network.carrier}, not ${carrier}`)
  }
  if (mtuBytes !== undefined && mtuBytes !== network.mtuBytes) {
    all.push(`its MTU is ${network.mtuBytes ?? 'chosen by itself'}, not ${mtuBytes}`)
  }
  if (masquerade !== undefined && masquerade !== network.masquerade) {
    all.push(`its masquerade is ${network.masquerade}, not ${masquerade}`)
  }
  if (all.length === 0) return
  throw new NetworkError('conflict', `Cannot use network ${name}: ${all.join(', and ')}`, {
    details: { network: name },
    hint: `carrick network get ${name}`,
  })
}
