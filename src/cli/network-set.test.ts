import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { type CliScene, startCli } from './testing.ts'

let cli: CliScene

beforeEach(async () => {
  cli = await startCli()
})
afterEach(() => cli[Symbol.asyncDispose]())

for (const [flags, said] of [
  ['--carrier vxlan', 'carrier auto -> vxlan'],
  ['--add-subnet 10.82.0.0/16 --rm-subnet fd80::/48', 'subnets +10.82.0.0/16 -fd80::/48'],
  ['--mtu 1400 --internal', 'mtu auto -> 1400; internal false -> true'],
  ['--no-masquerade --open metadata', 'masquerade true -> false; open +metadata'],
  ['--label tier- --label a=b', 'labels +a=b -tier=blue'],
  ['--carrier auto', 'unchanged'],
] as const) {
  test(`network set blue ${flags}`, async () => {
    assert.deepEqual(await cli.run(`network set blue ${flags}`), {
      exit: 0,
      out: `blue: ${said}\n`,
      err: '',
    })
  })
}

test('what was changed can be taken back', async () => {
  await cli.run('network set blue --mtu 1400 --internal --open metadata')
  const { out } = await cli.run('network set blue --mtu auto --no-internal --open none')
  assert.equal(out, 'blue: mtu 1400 -> auto; internal true -> false; open -metadata\n')
})

test('what a user should know goes to standard error, and -o json is the document', async () => {
  const { out, err } = await cli.run('network set blue --carrier direct -o json')
  assert.equal(JSON.parse(out).spec.carrier, 'direct')
  assert.equal(err, 'warning: h2 is away\n')
})

test('a network that was changed meanwhile is read again', async () => {
  const { control } = cli
  const changeNetwork = control.changeNetwork.bind(control)
  let quicker = true
  control.changeNetwork = (reference, patch, options) => {
    const [blue] = control.networks
    if (quicker && blue !== undefined) control.networks[0] = { ...blue, mtuBytes: 1300 }
    quicker = false
    return changeNetwork(reference, patch, options)
  }
  const { exit, out } = await cli.run('network set blue --add-subnet 10.82.0.0/16')
  assert.deepEqual([exit, out], [0, 'blue: subnets +10.82.0.0/16\n'])
  assert.equal(control.networks[0]?.mtuBytes, 1300)
})

for (const [line, exit, message] of [
  ['network set blue', 2, /say what is to be different/],
  ['network set blue --rm-subnet 10.1.0.0/24', 2, /it has no subnet 10\.1\.0\.0\/24/],
  ['network set blue --mtu x', 2, /1400, or auto/],
  ['network set blue --label x', 2, /KEY=VALUE or KEY-/],
  ['network set nope --internal', 3, /"nope"/],
] as const) {
  test(`${line} ends with ${exit}`, async () => {
    const result = await cli.run(line)
    assert.equal(result.exit, exit, result.err)
    assert.match(result.err, message)
  })
}

test('several networks are one request, in their order', async () => {
  cli.control.networks.push({ ...cli.control.networks[0], id: 'net00002', name: 'red' } as never)
  const flags = '--netns x --ifname a --ifname b --default-route red'
  const { exit, out } = await cli.run(`attach red blue ${flags} -o json`)
  assert.equal(exit, 0)
  assert.deepEqual(
    JSON.parse(out).items.map(({ spec }: { spec: { network: string } }) => spec.network),
    ['red', 'blue'],
  )
  assert.deepEqual(
    cli.control.attached.map(({ network, ifname, defaultRoute }) => [
      network,
      ifname,
      defaultRoute,
    ]),
    [
      ['red', 'a', true],
      ['blue', 'b', undefined],
    ],
  )
})

for (const [flags, message] of [
  ['--default-route blue --default-route red', /one default route/],
  ['--default-route green', /none of the networks blue, red/],
  ['--mac 02:00:00:00:00:09', /once per network, 2 times/],
] as const) {
  test(`attach blue red ${flags} is refused`, async () => {
    const { exit, err } = await cli.run(`attach blue red --netns x ${flags}`)
    assert.equal(exit, 2)
    assert.match(err, message)
  })
}
