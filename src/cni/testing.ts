/** What tests of the CNI process need: a place of its own for socket and spool, and daemons that behave badly. */

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { CniReply, CniRequest, SpooledDelete } from './exchange.ts'

/** A directory that stands for the root of a host, removed at the end. */
export class FakeHost implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), 'ckt-cni-'))
  readonly socket = join(this.root, 'run/carrick/carrick.sock')

  constructor() {
    mkdirSync(dirname(this.socket), { recursive: true })
  }

  /** Standard input of a call whose daemon is the one of this host. */
  config(more: object = {}): string {
    return JSON.stringify({ cniVersion: '1.0.0', name: 'blue', daemonSocket: this.socket, ...more })
  }

  spooled(): readonly SpooledDelete[] {
    const directory = join(this.root, 'var/lib/carrick/cni-spool')
    try {
      return readdirSync(directory).map((file) =>
        JSON.parse(readFileSync(join(directory, file), 'utf8')),
      )
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw error
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true })
  }
}

/** Answers every request with what `reply` gives; keeps what it was asked. */
export class FakeDaemon implements Disposable {
  readonly asked: CniRequest[] = []
  readonly #server: Bun.Server<undefined>

  constructor(socket: string, reply: (request: CniRequest, signal: AbortSignal) => unknown) {
    this.#server = Bun.serve({
      unix: socket,
      fetch: async (request) => {
        const body = (await request.json()) as CniRequest
        this.asked.push(body)
        const answer = await reply(body, request.signal)
        return answer instanceof Response ? answer : Response.json(answer)
      },
    })
  }

  [Symbol.dispose](): void {
    void this.#server.stop(true)
  }
}

/**
 * Calls `callDaemon()` or `callNetavark()` in a process of its own, since they wait in the kernel while a daemon of
 * this process has to answer them. `stdin` is text, bytes, or a descriptor.
 */
export async function callInChild(
  which: 'client.ts callDaemon' | 'netavark.ts callNetavark',
  call: object,
  stdin: string | Uint8Array | number,
): Promise<CniReply> {
  const [file = '', name] = which.split(' ')
  const script = `
    import { ${name} } from ${JSON.stringify(join(import.meta.dirname, file))}
    const call = JSON.parse(process.argv.at(-1))
    console.log(JSON.stringify(await ${name}({ ...call, stdin: 0 })))`
  const child = Bun.spawn([process.execPath, '-e', script, JSON.stringify(call)], {
    stdin: typeof stdin === 'number' ? stdin : Buffer.from(stdin),
    stdout: 'pipe',
    stderr: 'inherit',
  })
  return JSON.parse(await new Response(child.stdout).text())
}

/** What a process printed, and its exit code. */
export async function end(child: Bun.ReadableSubprocess) {
  const [out, err, exit] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ])
  return { out, err, exit }
}

export const DONE: CniReply = { stdout: '{"cniVersion":"1.0.0"}', exit: 0 }

/** A socket where `serve` does with a caller what it wants. */
export async function listenRudely(
  path: string,
  serve: (socket: Socket) => void,
): Promise<Disposable> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    serve(socket)
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  return {
    [Symbol.dispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}
