import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { pickCaller } from './caller.ts'

const PASSWD = 'root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n'
const peer = (pid: number, uid: number) => ({ pid, uid, gid: uid })

for (const { why, peers, pid, want } of [
  { why: 'nobody is connected', peers: [], pid: 7, want: {} },
  {
    why: 'one is connected',
    peers: [peer(7, 1000)],
    pid: undefined,
    want: { uid: 1000, user: 'ada' },
  },
  {
    why: 'one user is connected twice',
    peers: [peer(7, 0), peer(8, 0)],
    pid: undefined,
    want: { uid: 0, user: 'root' },
  },
  { why: 'the user has no name', peers: [peer(7, 4242)], pid: undefined, want: { uid: 4242 } },
  { why: 'two users, and nothing decides', peers: [peer(7, 0), peer(8, 1000)], pid: 9, want: {} },
  {
    why: 'two users, and the process decides',
    peers: [peer(7, 0), peer(8, 1000)],
    pid: 8,
    want: { uid: 1000, user: 'ada' },
  },
]) {
  test(`pickCaller() when ${why} is ${want.user ?? want.uid ?? 'unknown'}`, () => {
    assert.deepEqual(pickCaller(peers, pid, PASSWD), want)
  })
}
