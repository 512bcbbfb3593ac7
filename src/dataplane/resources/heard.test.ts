import { expect, test } from 'bun:test'
import { ip } from '../../net/testing.ts'
import { untilHeard } from './heard.ts'

test('an address is waited for until its packets are taken', () => {
  const asked: string[] = []
  const isLocal = (address: string) => asked.push(address) > 3
  untilHeard({ routes: { isLocal } }, [ip('10.80.0.1'), ip('fd80::1')])
  expect(asked).toEqual(['fd80::1', 'fd80::1', 'fd80::1', 'fd80::1'])
})
