import { expect, test } from 'bun:test'
import type { RouteAnswer, Routes } from '../../kernel/kernel.ts'
import { ip } from '../../net/testing.ts'
import { untilHeard } from './heard.ts'

test('an address is waited for until its packets are taken', () => {
  const asked: string[] = []
  untilHeard({ routes: answering((address) => asked.push(address) > 3) }, [
    ip('10.80.0.1'),
    ip('fd80::1'),
  ])
  expect(asked).toEqual(['fd80::1', 'fd80::1', 'fd80::1', 'fd80::1'])
})

function answering(isHeard: (address: string) => boolean): Routes {
  const answer = { device: 1, gateway: undefined, preferredSource: undefined, pathMtuBytes: 1500 }
  return {
    list: () => [],
    put: () => {},
    remove: () => {},
    lookup: (address): RouteAnswer => ({ ...answer, type: isHeard(address) ? 'local' : 'unicast' }),
  }
}
