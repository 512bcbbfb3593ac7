/** Who asks over the daemon's socket, for the record: the kernel's word, and the user's name where it has one. */

import { readFileSync } from 'node:fs'
import type { Caller } from './control/overlap.ts'
import type { PeerCredentials } from './kernel/process.ts'
import { connectedPeers } from './kernel/unix-peers.ts'

/**
 * The user behind a request that is being answered. When several users are connected at once it is the one
 * of process `pid`; nobody when that does not decide it.
 */
export function callerOf(socket: string, pid: number | undefined): Caller {
  return pickCaller(connectedPeers(socket), pid, readFileSync('/etc/passwd', 'utf8'))
}

/** The same, from what is known: the connected processes and the text of passwd(5). */
export function pickCaller(
  peers: readonly PeerCredentials[],
  pid: number | undefined,
  passwd: string,
): Caller {
  const users = new Set(peers.map(({ uid }) => uid))
  const [only] = users
  const uid = users.size === 1 ? only : peers.find((peer) => peer.pid === pid)?.uid
  if (uid === undefined) return {}
  const line = passwd.split('\n').find((entry) => entry.split(':')[2] === String(uid))
  const user = line?.split(':')[0]
  return user === undefined ? { uid } : { uid, user }
}
