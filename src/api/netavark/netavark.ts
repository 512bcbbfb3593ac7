/**
 * Netavark's plug-in, the daemon's side: the three verbs that need it, from the text of a call to the text of its
 * answer. Podman reads exactly one key of an error, `error`.
 */

import type { CniReply } from '../../cni/exchange.ts'
import type { NetavarkRequest } from '../../cni/netavark-exchange.ts'
import { isNetworkError, messageOf, NetworkError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { hintOf } from '../docker/failure.ts'
import { type ContainerDeps, setup, teardown } from './containers.ts'
import { type CreateDeps, createNetwork } from './create.ts'
import { parseInput } from './messages.ts'

export interface NetavarkDeps {
  readonly control: CreateDeps['control'] & ContainerDeps['control']
  readonly clock: CreateDeps['clock']
  readonly log: Log
}

/** Answers one call; never rejects. `gone` aborts when nobody waits for the answer any more. */
export async function answerNetavark(
  deps: NetavarkDeps,
  request: NetavarkRequest,
  gone: AbortSignal,
): Promise<CniReply> {
  try {
    const result = await perform(deps, request, gone)
    return { stdout: result === undefined ? '' : `${JSON.stringify(result)}\n`, exit: 0 }
  } catch (error) {
    const { verb, netns } = request
    if (isNetworkError(error)) {
      deps.log.info('netavark call refused', { verb, netns, error: messageOf(error) })
    } else if (!gone.aborted) deps.log.error('netavark call failed', { verb, netns, error })
    return { stdout: `${JSON.stringify({ error: textOf(error, verb) })}\n`, exit: 1 }
  }
}

async function perform(
  deps: NetavarkDeps,
  { verb, netns = '', stdin }: NetavarkRequest,
  gone: AbortSignal,
): Promise<object | undefined> {
  const object = parseInput(stdin)
  switch (verb) {
    case 'create':
      return createNetwork(deps, object)
    case 'setup':
      return setup(deps, netns, object, gone)
    case 'teardown':
      await teardown(deps, object)
      return undefined
    default:
      throw new NetworkError(
        'invalid',
        `Cannot do "${verb}": create, setup, teardown or info is needed`,
      )
  }
}

/** What nobody foresaw is told without its text. */
function textOf(error: unknown, verb: string): string {
  if (!isNetworkError(error)) {
    return `The daemon failed unexpectedly in ${verb}: its log has more`
  }
  const hint = hintOf(error)
  return `${error.message}${hint === undefined ? '' : `. ${hint}`}`
}
