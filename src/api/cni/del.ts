/**
 * DEL: from container, interface and network alone. That nothing is there any more is a success, however often it is
 * said; the namespace may be gone, and the result of the ADD unknown or senseless.
 */

import { CNI_VERSIONS } from '../../cni/exchange.ts'
import type { CniControl } from '../../control/cni-control.ts'
import { CNI_LABELS, type Delegate } from '../../model/cni.ts'
import type { Endpoint } from '../../model/endpoint.ts'
import { attachmentIn, type CniCall, type CniDeps, delegatedCall } from './call.ts'
import type { DelegatedCall, Delegates } from './delegate.ts'

/** `madeUntil`: what was attached later, in milliseconds since 1970, is another attachment; default: any. */
export async function del(deps: CniDeps, call: CniCall, madeUntil?: number): Promise<void> {
  const { control, delegates } = deps
  const attachment = attachmentIn(call)
  if (madeUntil !== undefined) {
    const endpoint = control.cniEndpoint(attachment)
    if (endpoint !== undefined && Date.parse(endpoint.createdAt) > madeUntil) return
  }
  const { delegate } = call.config
  await control.detachCni(attachment, async (stood) => {
    if (delegate !== undefined) await delegates.tell(delegatedCall(call, delegate, 'DEL'))
    // It was another one when it was attached.
    if (stood?.delegate !== undefined && stood.delegate.type !== delegate) {
      await giveBack(delegates, stood, stood.delegate)
    }
  })
}

/** Takes away an attachment that no runtime will ever DEL. */
export async function drop(
  { control, delegates }: { readonly control: CniControl; readonly delegates: Delegates },
  attachment: Parameters<CniControl['detachCni']>[0],
): Promise<void> {
  await control.detachCni(attachment, async (stood) => {
    if (stood?.delegate !== undefined) await giveBack(delegates, stood, stood.delegate)
  })
}

/** An error is told to the log: nobody could do more about it than the next who looks at the plug-in's own state. */
function giveBack(delegates: Delegates, stood: Endpoint, delegate: Delegate): Promise<void> {
  return delegates.release(releaseOf(stood, delegate))
}

/** The DEL that a runtime would have called. */
export function releaseOf({ labels, ifname }: Endpoint, delegate: Delegate): DelegatedCall {
  const { type, path, config, args } = delegate
  const asked = (JSON.parse(config) as { cniVersion?: unknown }).cniVersion // it was written here
  return {
    ...{ type, path, verb: 'DEL', stdin: config },
    cniVersion: CNI_VERSIONS.find((known) => known === asked) ?? '0.1.0',
    environment: {
      CNI_COMMAND: 'DEL',
      CNI_CONTAINERID: labels[CNI_LABELS.container] ?? '',
      CNI_NETNS: '',
      CNI_IFNAME: labels[CNI_LABELS.ifname] ?? ifname,
      CNI_ARGS: args,
      CNI_PATH: path.join(':'),
    },
  }
}
