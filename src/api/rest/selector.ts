/** Label selectors of list requests: `app=web,tier!=db,canary,!old`; commas mean and. */

import { NetworkError } from '../../lib/errors.ts'

export type Labels = Readonly<Record<string, string>>

/** The condition that `text` states; throws `invalid` naming the part that cannot be read. */
export function parseSelector(text: string): (labels: Labels) => boolean {
  const conditions = text.split(',').map((part) => parseCondition(part.trim()))
  return (labels) => conditions.every((holds) => holds(labels))
}

function parseCondition(part: string): (labels: Labels) => boolean {
  const match = /^(?:(!?)([\w./-]+)|([\w./-]+)\s*(!=|==?)\s*([^=!,]*))$/.exec(part)
  if (match === null) {
    throw new NetworkError(
      'invalid',
      `Cannot read the label selector: "${part}" is none of k=v, k!=v, k, !k`,
      { fields: [{ pointer: '/labelSelector', message: `"${part}" cannot be read` }] },
    )
  }
  const [, not = '', name, key = '', sign, value] = match
  if (name !== undefined) return (labels) => Object.hasOwn(labels, name) === (not === '')
  return (labels) => (Object.hasOwn(labels, key) && labels[key] === value) === (sign !== '!=')
}
