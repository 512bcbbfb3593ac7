import { rmdirSync } from 'node:fs'

/**
 * Removes a directory that several labs have, once the last one is gone; another may be quicker. `inUse` is how its
 * file system refuses one that is not empty.
 */
export function removeShared(path: string, inUse: 'ENOTEMPTY' | 'EBUSY'): void {
  try {
    rmdirSync(path)
  } catch (error) {
    if (!['ENOENT', inUse].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}
