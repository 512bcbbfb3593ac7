import { expect, test } from 'bun:test'
import { openFakeKernel } from '../kernel/fake/fake-kernel.ts'
import { HostPorts } from './host-ports.ts'

test('a refused range leaves nothing held', () => {
  using kernel = openFakeKernel()
  const ports = new HostPorts(kernel)
  kernel.calls.failCall(3, 'EMFILE')
  expect(() => ports.reserve({ protocol: 'tcp', port: 9000, count: 4 })).toThrow(
    /LimitNOFILE|files/,
  )
  const held = ports.reserve({ protocol: 'tcp', port: 9000, count: 4 })
  expect(held.port).toBe(9000)
})

test('disposing of all lets everything go', () => {
  using kernel = openFakeKernel()
  {
    using ports = new HostPorts(kernel)
    ports.reserve({ protocol: 'udp', port: 53, count: 1 })
    expect(() => new HostPorts(kernel).reserve({ protocol: 'udp', port: 53, count: 1 })).toThrow(
      /it is in use by a socket of no process/,
    )
  }
  new HostPorts(kernel).reserve({ protocol: 'udp', port: 53, count: 1 })
})

test('where no ports stand free in a row, that is said', () => {
  using kernel = openFakeKernel()
  const ports = new HostPorts(kernel)
  for (let port = 32_768; port < 65_536; port += 10) {
    ports.reserve({ protocol: 'tcp', port, count: 1 })
  }
  expect(() => ports.reserve({ protocol: 'tcp', port: 0, count: 20 })).toThrow(/no 20 free ones/)
})
