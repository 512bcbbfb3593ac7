/**
 * Who is connected to a unix socket that this process listens on: for records of who did what. The HTTP
 * server does not tell which connection a request came by, so this lists all of them.
 */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { isNetworkError } from '../lib/errors.ts'
import { type PeerCredentials, peerCredentials } from './process.ts'

/** net/unix/af_unix.c unix_seq_show(): the state of a connected socket, as two hexadecimal digits. */
const CONNECTED = '03'

/** The processes at the other ends of the connections to the socket at `path`. */
export function connectedPeers(path: string): readonly PeerCredentials[] {
  const inodes = acceptedInodes(readFileSync('/proc/self/net/unix', 'utf8'), path)
  const peers: PeerCredentials[] = []
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1]
      if (inode !== undefined && inodes.has(inode)) peers.push(peerCredentials(Number(fd)))
    } catch (error) {
      // A descriptor that was closed meanwhile.
      if (!isNetworkError(error) && (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  return peers
}

/** Accepted connections bear the path of their listener. `Num RefCount Protocol Flags Type St Inode Path` */
function acceptedInodes(table: string, path: string): ReadonlySet<string> {
  const inodes = new Set<string>()
  for (const line of table.split('\n')) {
    const [, , , , , state, inode, bound] = line.trim().split(/\s+/)
    if (state === CONNECTED && inode !== undefined && bound === path) inodes.add(inode)
  }
  return inodes
}
