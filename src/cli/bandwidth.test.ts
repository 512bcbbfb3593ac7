/** Rates on the command line, through the real API: how they are asked for, and shown. */

import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { fakeEndpoint } from '../api/rest/fake-control.ts'
import { type CliScene, startCli } from './testing.ts'

let cli: CliScene
beforeEach(async () => {
  cli = await startCli()
})
afterEach(() => cli[Symbol.asyncDispose]())

for (const { line, want } of [
  {
    line: 'attach blue --netns x --ingress-rate 8M --egress-rate 1.5G',
    want: [{ toContainer: { bitsPerSecond: 8_000_000 }, fromContainer: { bitsPerSecond: 1.5e9 } }],
  },
  {
    line: 'attach blue --netns x --egress-rate 512k',
    want: [{ fromContainer: { bitsPerSecond: 512_000 } }],
  },
  {
    line: 'attach blue blue --netns x --ifname a --ifname b --ingress-rate 8M --ingress-rate 9M',
    want: [
      { toContainer: { bitsPerSecond: 8_000_000 } },
      { toContainer: { bitsPerSecond: 9_000_000 } },
    ],
  },
  { line: 'attach blue --netns x', want: [undefined] },
]) {
  test(line, async () => {
    assert.equal((await cli.run(line)).exit, 0)
    assert.deepEqual(
      cli.control.attached.map(({ bandwidth }) => bandwidth),
      want,
    )
  })
}

test('a rate that cannot be read, and one too many', async () => {
  const unread = await cli.run('attach blue --netns x --egress-rate fast')
  assert.equal(unread.exit, 2)
  assert.match(unread.err, /rate "fast" of --egress-rate.*--egress-rate 8M/s)
  const twice = await cli.run('attach blue --netns x --ingress-rate 8M --ingress-rate 9M')
  assert.match(twice.err, /--ingress-rate is given once/)
})

test('limits are in the document and in the wide table', async () => {
  const bandwidth = {
    toContainer: { bitsPerSecond: 8_000_000, burstBits: 800_000 },
    fromContainer: { bitsPerSecond: 1.5e9 },
  }
  cli.control.endpoints.push(fakeEndpoint(3, { bandwidth }))
  const { out } = await cli.run('endpoint get ep0003 -o json')
  assert.deepEqual(JSON.parse(out).spec.bandwidth, bandwidth)
  const wide = await cli.run('endpoint ls -o wide --no-headers --sort-by id')
  const [first = '', , third = ''] = wide.out.split('\n')
  assert.match(third, / in 8M,out 1\.5G /)
  assert.doesNotMatch(first, / in | out /)
})
