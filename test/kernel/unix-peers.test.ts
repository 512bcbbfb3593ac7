import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectedPeers } from '../../src/kernel/unix-peers.ts'

test('connectedPeers() tells who is connected to a server, and nobody else', async () => {
  const folder = mkdtempSync(join(tmpdir(), `ckt-peers-${process.pid}-`))
  const [path, other] = [join(folder, 'one'), join(folder, 'other')]
  const answer = Promise.withResolvers<void>()
  const asked = Promise.withResolvers<void>()
  const serve = (unix: string) =>
    Bun.serve({
      unix,
      fetch: async () => {
        asked.resolve()
        await answer.promise
        return new Response('')
      },
    })
  const servers = [serve(path), serve(other)]
  const stranger = connect(other)
  try {
    assert.deepEqual(connectedPeers(path), [])
    const request = fetch('http://x/', { unix: path })
    await asked.promise
    const me = { pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() }
    assert.deepEqual(connectedPeers(path), [me])
    answer.resolve()
    await request
  } finally {
    stranger.destroy()
    for (const server of servers) await server.stop(true)
    rmSync(folder, { recursive: true })
  }
})
