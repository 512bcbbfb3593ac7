/** The file of a unix socket on which a front end listens: who may have left it there, and when it goes. */

import { lstatSync, mkdirSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { NetworkError } from '../lib/errors.ts'

/** linux/un.h: sun_path holds 108 bytes, the closing zero included. */
const LONGEST_PATH = 107

/**
 * Makes room for a socket: a file left by a daemon that died goes, one on which somebody answers does not.
 * Throws `conflict` when somebody answers there, `invalid` when the path cannot be a socket, `forbidden`
 * without permission.
 */
export async function clearSocketPath(path: string): Promise<void> {
  if (Buffer.byteLength(path) > LONGEST_PATH) {
    throw new NetworkError(
      'invalid',
      `Cannot listen on ${path}: a socket's path has at most ${LONGEST_PATH} bytes`,
    )
  }
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return
  if (!stat.isSocket()) {
    throw new NetworkError(
      'invalid',
      `Cannot listen on ${path}: something that is no socket is there`,
    )
  }
  if (await answers(path)) {
    throw new NetworkError('conflict', `Cannot listen on ${path}: another daemon answers there`, {
      hint: 'carrick status',
    })
  }
  rmSync(path, { force: true })
}

export interface SocketFile {
  /** False when what is at the path now is another's. */
  isThere(): boolean
  /** Content when nothing is there. */
  remove(): void
}

/** The socket that was just made there. */
export function socketFile(path: string): SocketFile {
  const { ino } = lstatSync(path)
  return {
    isThere: () => lstatSync(path, { throwIfNoEntry: false })?.ino === ino,
    remove: () => rmSync(path, { force: true }),
  }
}

/** True when a process listens on the socket. */
function answers(path: string): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>()
  const socket = connect(path)
  socket.once('connect', () => resolve(true))
  socket.once('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false)
    else
      reject(
        new NetworkError('forbidden', `Cannot look at ${path}: ${error.message}`, { cause: error }),
      )
  })
  return promise.finally(() => socket.destroy())
}
