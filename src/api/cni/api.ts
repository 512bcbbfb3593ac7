/**
 * CNI as one function from what a runtime handed its plug-in to what that is to print. A call passes: variables →
 * configuration, in the order of the reference plug-ins → verb → one JSON object, or nothing. Whatever is thrown on the
 * way becomes an error of the specification.
 */

import type { CniReply, CniRequest, SpooledDelete } from '../../cni/exchange.ts'
import type { Clock } from '../../lib/clock.ts'
import { isNetworkError } from '../../lib/errors.ts'
import { add, asNetnsError } from './add.ts'
import { attachmentIn, type CniCall, type CniDeps } from './call.ts'
import { check } from './check.ts'
import { readConfig } from './config.ts'
import { del } from './del.ts'
import { readEnvironment } from './environment.ts'
import { failureOf } from './errors.ts'
import { gc } from './gc.ts'
import { writeResult } from './result-write.ts'
import { status } from './status.ts'
import { followTuned } from './tuned.ts'
import { versionForFailure } from './versions.ts'

export interface CniApi {
  /** Never rejects. `gone` aborts when nobody waits for the answer any more. */
  answer(request: CniRequest, gone: AbortSignal): Promise<CniReply>
  /** Does what could not be asked for when the daemon was away; rejects when it is to be tried again. */
  replay(spooled: SpooledDelete): Promise<void>
}

export interface CniApiDeps extends CniDeps {
  readonly clock: Clock
  /** Aborts when the daemon ends. */
  readonly signal: AbortSignal
}

/** Verbs that change something: told to the log as other front ends' writes are. */
const WRITES: ReadonlySet<string> = new Set(['ADD', 'DEL', 'GC'])
const FOREVER = new AbortController().signal

export function createCniApi(deps: CniApiDeps): CniApi {
  const audit = deps.log.child('audit')
  const log = deps.log.child('cni')
  const { clock } = deps

  async function run(request: CniRequest, gone: AbortSignal): Promise<string> {
    const environment = readEnvironment(request.environment)
    const { verb } = environment
    const call: CniCall = { request, environment, gone, config: readConfig(request.stdin, verb) }
    switch (verb) {
      case 'ADD': {
        const result = await add(deps, call)
        followTuned(deps.control, attachmentIn(call), clock, deps.signal).catch((error) => {
          log.warn('not looked at again', { error })
        })
        return JSON.stringify(writeResult(result, call.config.cniVersion))
      }
      case 'DEL':
        await del(deps, call)
        return ''
      case 'CHECK':
        await check(deps, call)
        return ''
      case 'GC':
        await gc(deps, call, clock.wallMs())
        return ''
      case 'STATUS':
        await status(deps, call)
        return ''
      case 'VERSION':
        // The plug-in answers it by itself.
        return ''
      default:
        return verb satisfies never
    }
  }

  async function answer(request: CniRequest, gone: AbortSignal): Promise<CniReply> {
    const startMs = clock.monotonicMs()
    const { CNI_COMMAND: verb = '', CNI_CONTAINERID: container = '' } = request.environment
    const { CNI_IFNAME: ifname = '', CNI_NETNS: netns = '' } = request.environment
    let code = 0
    try {
      return { stdout: await run(request, gone), exit: 0 }
    } catch (thrown) {
      const error = asNetnsError(thrown, netns)
      const failure = failureOf(error, verb, versionForFailure(request.stdin))
      code = failure.code
      if (!isNetworkError(error) && !gone.aborted) log.error('call failed', { error, verb })
      return { stdout: JSON.stringify(failure), exit: 1 }
    } finally {
      if (WRITES.has(verb)) {
        const durationMs = Math.round((clock.monotonicMs() - startMs) * 1000) / 1000
        const object = `${container}/${ifname}`
        // The answer goes first.
        setImmediate(() => audit.info('write', { verb, object, code, durationMs }))
      }
    }
  }

  async function replay(spooled: SpooledDelete): Promise<void> {
    const environment = readEnvironment(spooled.environment)
    const config = readConfig(spooled.stdin, environment.verb)
    const call: CniCall = { request: spooled, environment, config, gone: FOREVER }
    await del(deps, call, Date.parse(spooled.spooledAt))
    const { containerId, ifname } = environment
    log.info('belated delete done', { object: `${containerId}/${ifname}` })
  }

  return { answer, replay }
}
