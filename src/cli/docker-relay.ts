/** `carrick docker relay`: what runs inside the managed plug-in. */

import { createRelay } from '../api/docker/relay.ts'
import { serveDocker } from '../api/docker/serve.ts'
import { systemClock } from '../lib/clock.ts'
import { silentLog } from '../lib/log.ts'
import type { Context } from './command.ts'

/** Runs until it is told to stop. */
export async function relay({ io, options }: Context): Promise<void> {
  await using _server = await serveDocker({
    api: createRelay(String(options['to']), systemClock()),
    path: String(options['listen']),
    log: silentLog,
  })
  await new Promise<void>((resolve) => {
    io.signal.addEventListener('abort', () => resolve(), { once: true })
    process.once('SIGTERM', () => resolve())
  })
}
