/**
 * The dataplane in a process of its own, which the test starts inside the namespace that plays a host. It reads
 * one request a line, as JSON, and answers each with a line; pairs that are to be deleted it deletes at once.
 */

import { createInterface } from 'node:readline'
import { openDatapath } from '../../../src/dataplane/datapath.ts'
import { Engine } from '../../../src/dataplane/engine.ts'
import { putAside, reap } from '../../../src/dataplane/put-aside.ts'
import { readUnderlay } from '../../../src/dataplane/underlay.ts'
import { type AgentRequest, RUN } from './agent-request.ts'

const [bpfDirectory = '', runDirectory = ''] = process.argv.slice(2)
const datapath = openDatapath(bpfDirectory)
const settings = {
  run: RUN,
  bpfDirectory,
  runDirectory,
  auditPeriodMs: 600_000,
  underlay: { wish: {}, first: readUnderlay(datapath.kernel, {}) },
}
const repairs: Record<string, number> = {}
const engine = new Engine(datapath, settings, {
  repaired: ({ repaired }) => {
    for (const [kind, count] of Object.entries(repaired))
      repairs[kind] = (repairs[kind] ?? 0) + count
  },
  left: () => reap(datapath.kernel),
  obstacles: () => {},
  facts: () => {},
  underlay: () => {},
})

function answer(request: AgentRequest): unknown {
  switch (request.kind) {
    case 'resync':
      engine.announce(request.changes)
      return engine.resync(new Map(), false)
    case 'apply': {
      const { failures, asides } = engine.apply(request.changes, new Map())
      for (const aside of asides) putAside(datapath.kernel, aside)
      reap(datapath.kernel)
      return failures
    }
    case 'audit':
      return engine.audit(
        request.kinds ?? [
          ...(['ruleset', 'gateway', 'gateway-rules', 'host-route', 'host-rule'] as const),
          'forwarding',
        ],
      )
    case 'repairs':
      return repairs
    case 'drops':
      return engine.drops()
    default:
      return request satisfies never
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(answer(JSON.parse(line) as AgentRequest))}\n`)
}
engine.stop()
process.exit(0)
