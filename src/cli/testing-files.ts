/** Files below a directory, as tests of what installs and uninstalls put and read them. */

import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

export interface Files {
  put(path: string, text: string): void
  read(path: string): string
  /** Every file with its text, in order of paths. */
  all(): Record<string, string>
}

/** `root` is asked anew each time: it is made for each test. Paths are below it. */
export function filesBelow(root: () => string): Files {
  const read = (path: string): string => readFileSync(join(root(), path), 'utf8')
  return {
    read,
    put: (path, text) => {
      mkdirSync(dirname(join(root(), path)), { recursive: true })
      writeFileSync(join(root(), path), text)
    },
    all: () => {
      const names = readdirSync(root(), { recursive: true, encoding: 'utf8' })
      const plain = names.filter((name) => statSync(join(root(), name)).isFile()).sort()
      return Object.fromEntries(plain.map((name) => [name, read(name)]))
    },
  }
}
