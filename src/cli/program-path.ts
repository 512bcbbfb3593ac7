/** The program itself as a path that others start: units, runtimes of containers. */

import { NetworkError } from '../lib/errors.ts'

/**
 * The path given, else that of this process. `by` says who starts it. Throws `invalid` when this process is not
 * the program itself, or the path is not absolute.
 */
export function programPath(given: unknown, by: { who: string; command: string }): string {
  const executable = typeof given === 'string' ? given : process.execPath
  if (!executable.startsWith('/')) {
    throw new NetworkError(
      'invalid',
      `Cannot let ${by.who} start "${executable}": a path from / is needed`,
    )
  }
  // The runtime shows a built program's parts in a file system of its own.
  if (given === undefined && !import.meta.dirname.startsWith('/$bunfs/')) {
    throw new NetworkError(
      'invalid',
      `Cannot tell which program ${by.who} shall start: this one runs from its sources`,
      { hint: `npm run build; ${by.command} --executable /usr/local/bin/carrick` },
    )
  }
  return executable
}
