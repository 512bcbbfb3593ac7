import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { programPages, untouched } from './program-pages.ts'

const mapping = (range: string, modes: string, path: string, anonymousKb: number): string =>
  [
    `${range} ${modes} 01838000 fe:00 9979073                            ${path}`,
    'Size:              79912 kB',
    'Rss:               38632 kB',
    `Anonymous:         ${`${anonymousKb}`.padStart(7)} kB`,
    'VmFlags: rd ex mr mw me sd',
    '',
  ].join('\n')

test('only what was never written to is let go of, and only of the program', () => {
  const smaps = [
    mapping('00200000-01a39000', 'r--p', '/usr/bin/carrick', 0),
    mapping('01a40000-0684a000', 'r-xp', '/usr/bin/carrick', 0),
    mapping('0685f000-06867000', 'r--p', '/usr/bin/carrick', 12),
    mapping('06867000-07495000', 'rw-p', '/usr/bin/carrick', 0),
    mapping('7f0000000000-7f0000100000', 'r-xp', '/usr/lib/libc.so.6', 0),
    mapping('7f0000200000-7f0000300000', 'rw-p', '', 1024),
  ].join('')
  expect(untouched(smaps, '/usr/bin/carrick')).toEqual([
    { start: 0x200000n, length: 0x1839000n },
    { start: 0x1a40000n, length: 0x4e0a000n },
  ])
})

test('the program goes on when it has let go of itself', () => {
  const fileBytes = () =>
    Number(/^RssFile:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1])
  const before = fileBytes()
  programPages().letGo()
  expect(fileBytes()).toBeLessThan(before)
})
