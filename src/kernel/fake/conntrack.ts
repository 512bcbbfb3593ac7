/** Tracked connections of the fake kernel: a test puts them there, nothing else does. */
import { type Conntrack, matches } from '../conntrack/conntrack.ts'
import type { FakeNamespace } from './state.ts'

export function fakeConntrack(own: FakeNamespace): Conntrack {
  return {
    list: (filter = {}) => own.connections.filter((each) => matches(filter, each)),
    remove(connections) {
      own.connections = own.connections.filter((each) => !connections.includes(each))
    },
  }
}
