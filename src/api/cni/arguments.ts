/**
 * CNI_ARGS: pairs that runtimes hand over in an order of their own. Each is split at its first `=`; what is not known
 * is of no concern, whether or not IgnoreUnknown stands there.
 */

/** What is heeded of CNI_ARGS, unchecked. */
export interface CniArguments {
  /** Of `IP`: one, or several with commas between them (multus). */
  readonly addresses: readonly string[]
  readonly mac: string | undefined
  readonly pod: Pod
}

/** Who the container is to its runtime. Any of it may be missing: podman sends a name only. */
export interface Pod {
  readonly name?: string
  readonly namespace?: string
  readonly uid?: string
}

/** Reads the value of CNI_ARGS; of two equal keys the last counts. */
export function readArguments(text: string): CniArguments {
  const values = new Map<string, string>()
  for (const pair of text.split(';')) {
    const at = pair.indexOf('=')
    if (at > 0) values.set(pair.slice(0, at).trim(), pair.slice(at + 1).trim())
  }
  const given = (key: string) => values.get(key) || undefined
  const [name, namespace, uid] = [
    given('K8S_POD_NAME'),
    given('K8S_POD_NAMESPACE'),
    given('K8S_POD_UID'),
  ]
  return {
    addresses: (given('IP') ?? '')
      .split(',')
      .map((one) => one.trim())
      .filter((one) => one !== ''),
    mac: given('MAC'),
    pod: {
      ...(name === undefined ? {} : { name }),
      ...(namespace === undefined ? {} : { namespace }),
      ...(uid === undefined ? {} : { uid }),
    },
  }
}
