/**
 * The dataplane's own thread: it alone changes the kernel. Messages are answered in order; between them it
 * hears the kernel's notices and puts right what somebody else changed, and looks into the containers'
 * namespaces a few at a time.
 */

import { isNetworkError, messageOf } from '../lib/errors.ts'
import { openDatapath } from './datapath.ts'
import { Engine } from './engine.ts'
import type { Numbered, Reply, Request } from './messages.ts'
import { RightOfWay } from './right-of-way.ts'

declare const self: {
  onmessage: ((event: { readonly data: Numbered }) => void) | null
  postMessage(message: Reply): void
}

let engine: Engine | undefined
let rightOfWay: RightOfWay | undefined

self.onmessage = ({ data: { id, request } }) => {
  try {
    self.postMessage({ kind: 'answer', id, answer: answer(request) })
  } catch (error) {
    if (!isNetworkError(error)) throw error
    const { code, message, hint, details } = error
    const plain = JSON.parse(JSON.stringify(details)) as Record<string, unknown>
    self.postMessage({ kind: 'error', id, error: { code, message, hint, details: plain } })
  } finally {
    if (request.kind === 'apply' && request.hasWay) rightOfWay?.release()
  }
}

function answer(request: Request): (Reply & { kind: 'answer' })['answer'] {
  if (request.kind === 'start') {
    rightOfWay = new RightOfWay(request.rightOfWay)
    const datapath = openDatapath(request.settings.bpfDirectory)
    engine = new Engine(datapath, request.settings, {
      repaired: (repair) => self.postMessage({ kind: 'repair', repair }),
      left: (stale) => self.postMessage({ kind: 'left', stale }),
      obstacles: (warnings) => self.postMessage({ kind: 'obstacles', warnings }),
      facts: (facts) => self.postMessage({ kind: 'facts', facts }),
      underlay: (underlay) => self.postMessage({ kind: 'underlay', underlay }),
    })
    return { warnings: datapath.warnings }
  }
  if (engine === undefined)
    throw new Error(`the dataplane was asked to ${request.kind} before its start`)
  switch (request.kind) {
    case 'apply':
      return engine.apply(request.changes, new Map(request.held))
    case 'announce':
      engine.announce(request.changes)
      return null
    case 'resync':
      return { failures: engine.resync(new Map(request.held), request.spareOthers) }
    case 'audit':
      return engine.audit(request.kinds)
    case 'sweep':
      return engine.sweep()
    case 'drops':
      return engine.drops()
    case 'stop':
      engine.stop()
      return null
    default:
      throw new Error(`unknown request: ${messageOf(request satisfies never)}`)
  }
}
