/** The command line in front of a real API over a real socket, with a control that lives in memory. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRestApi } from '../api/rest/api.ts'
import {
  CREATED_AT,
  createFakeControl,
  type FakeControl,
  fakeEndpoint,
  fakeNetwork,
} from '../api/rest/fake-control.ts'
import { type RestServer, serveRest } from '../api/rest/serve.ts'
import type { Subscribe } from '../api/rest/watch.ts'
import { NetworkError } from '../lib/errors.ts'
import { silentLog } from '../lib/log.ts'
import type { Io } from './io.ts'
import { runCli } from './main.ts'

export interface CliScene extends AsyncDisposable {
  /** Has network `blue` with the endpoints `web1` and `web2`. */
  readonly control: FakeControl
  readonly server: RestServer
  /** Who watches. */
  readonly listeners: ReadonlySet<Parameters<Subscribe>[0]>
  /** Runs `carrick LINE`, three minutes after everything was made. */
  run(line: string, more?: Partial<Io>): Promise<{ exit: number; out: string; err: string }>
}

export async function startCli(): Promise<CliScene> {
  const directory = mkdtempSync(join(tmpdir(), 'ckt-cli-'))
  const control = createFakeControl()
  control.networks.push(fakeNetwork('blue'))
  control.endpoints.push(fakeEndpoint(1), fakeEndpoint(2, { labels: {} }))
  const listeners = new Set<Parameters<Subscribe>[0]>()
  const api = createRestApi({
    control,
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    log: silentLog,
    version: '0.1.0',
    join: async ({ address, token }) => {
      if (token !== 'tok1.secret.hash') {
        throw new NetworkError('unauthenticated', 'Cannot join: the token is spent')
      }
      return { hostId: 'host0002', hostName: 'h2', store: address }
    },
  })
  const server = await serveRest({ api, path: join(directory, 'carrick.sock') })
  return {
    control,
    server,
    listeners,
    run: (line, more = {}) => run(server.path, line, more),
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

async function run(socket: string, line: string, more: Partial<Io>) {
  const out: string[] = []
  const err: string[] = []
  const io: Io = {
    env: { CARRICK_SOCKET: socket },
    stdinIsTerminal: false,
    stdoutIsTerminal: false,
    stderrIsTerminal: false,
    writeOut: async (text) => void out.push(text),
    writeErr: (text) => void err.push(text),
    readText: async () => 'tok1.secret.hash\n',
    ask: async () => 'n',
    now: () => Date.parse(CREATED_AT) + 180_000,
    signal: new AbortController().signal,
    ...more,
  }
  // The program reads CARRICK_SOCKET from the process; a test says it by flag.
  const argv = ['--socket', socket, ...line.split(' ').filter((word) => word !== '')]
  const exit = await runCli(argv, { io, runDaemon: async () => 0 })
  return { exit, out: out.join(''), err: err.join('') }
}
