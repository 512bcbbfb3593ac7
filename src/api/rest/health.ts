/** Whether the process works (`/livez`), its doors may be used (`/readyz`), and each part is well (`/healthz`). */

import type { Hono } from 'hono'
import type { Health } from './schemas.ts'

export interface HealthCheck {
  /** `store`, `dataplane`, `publisher`, ... */
  readonly name: string
  readonly ok: boolean
  /** One sentence, when there is something to say. */
  readonly message?: string
}

export interface HealthDeps {
  /** True when the front ends answer from local state; absent: as soon as the socket answers. */
  readonly ready?: () => boolean
  /** The parts of the daemon, each judged now. */
  readonly health?: () => readonly HealthCheck[]
}

export function addHealthRoutes(app: Hono, { ready, health }: HealthDeps): void {
  const none: readonly HealthCheck[] = []
  app.get('/livez', (context) => context.text('ok\n'))
  app.get('/readyz', (context) =>
    ready?.() === false ? context.text('starting\n', 503) : context.text('ok\n'),
  )
  app.get('/healthz', (context) => {
    const checks = health?.() ?? none
    const ok = checks.every((check) => check.ok)
    const status = ok ? 200 : 503
    if (context.req.query('verbose') === undefined) {
      return context.text(ok ? 'ok\n' : 'failing\n', status)
    }
    const body: Health = { status: ok ? 'ok' : 'failing', checks: [...checks] }
    return context.json(body, status)
  })
}
