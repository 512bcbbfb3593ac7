/** The traffic generator on a bare wire: every kind of traffic, both families, and nothing where nothing answers. */

import { afterAll, beforeAll, setDefaultTimeout, test } from 'bun:test'
import assert from 'node:assert/strict'
import {
  buildTraffic,
  measureLoss,
  measureTraffic,
  TRAFFIC,
  type TrafficMetric,
} from '../../bench/traffic.ts'
import { createLab, type Lab, removeLab } from '../../src/lab/lab.ts'

const NAME = `ckt-traffic-${process.pid}`
setDefaultTimeout(30_000)
const SECONDS = 0.05
let lab: Lab

beforeAll(async () => {
  await buildTraffic()
  lab = await createLab({ name: NAME, hosts: 2, topology: 'pair' })
})

afterAll(() => removeLab(NAME))

function endsTo(serverAddress: string) {
  return { clientNetns: lab.netns('h1'), serverNetns: lab.netns('h2'), serverAddress }
}

for (const address of ['192.0.2.2', '2001:db8::2']) {
  for (const metric of Object.keys(TRAFFIC) as TrafficMetric[]) {
    test(`${metric} to ${address} is a positive number`, async () => {
      assert.ok((await measureTraffic(metric, endsTo(address), SECONDS)) > 0)
    })
  }
  test(`nothing is lost on the way to ${address}`, async () => {
    assert.equal(await measureLoss(endsTo(address), SECONDS), 0)
  })
}

test('an address that no host has is an error and not a small number', async () => {
  await assert.rejects(() => measureTraffic('tcp_rr', endsTo('192.0.2.99'), SECONDS), /cannot bind/)
})
