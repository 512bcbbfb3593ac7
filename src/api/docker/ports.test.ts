import { expect, test } from 'bun:test'
import { FakeControl } from './fake-control.ts'
import type { PortMapping } from './messages.ts'
import { publishPorts, unpublishPorts } from './ports.ts'

function mapping(fields: Partial<PortMapping>): PortMapping {
  const { HostPort = 0 } = fields
  return { Proto: 6, Port: 80, HostIP: '', HostPort, HostPortEnd: HostPort, ...fields }
}

/** docker run -p 127.0.0.1:8080:80 -p 90 -p '[::1]:8081:81' -p 8000-8002:9000 -p 7000:7000/sctp -p 5353:53/udp */
const CAPTURED: readonly PortMapping[] = [
  mapping({ Port: 81, HostIP: '::1', HostPort: 8081 }),
  mapping({ Port: 80, HostIP: '127.0.0.1', HostPort: 8080 }),
  mapping({ Port: 9000, HostPort: 8000, HostPortEnd: 8002 }),
  mapping({ Proto: 132, Port: 7000, HostPort: 7000 }),
  mapping({ Proto: 17, Port: 53, HostPort: 5353 }),
  mapping({ Port: 90 }),
]

function texts(control: FakeControl): readonly string[] {
  return control.publications
    .map(({ protocol, hostAddress = '*', hostPort, containerPort, count }) => {
      const shown = hostPort > 40_000 ? 'any' : hostPort
      return `${hostAddress} ${shown}:${containerPort} ${count} ${protocol}`
    })
    .sort()
}

test('every form of -p is a publication', async () => {
  const control = new FakeControl()
  await publishPorts(control, 'ep', CAPTURED)
  expect(texts(control)).toEqual([
    '* 5353:53 1 udp',
    '* 7000:7000 1 sctp',
    '* 8000:9000 1 tcp',
    '* any:90 1 tcp',
    '127.0.0.1 8080:80 1 tcp',
    '::1 8081:81 1 tcp',
  ])
})

test('asking again, in another order, changes nothing', async () => {
  const control = new FakeControl()
  await publishPorts(control, 'ep', CAPTURED)
  const before = control.state
  await publishPorts(control, 'ep', CAPTURED.toReversed())
  expect(control.state).toBe(before)
})

test('ranges that the engine has split are one publication', async () => {
  const control = new FakeControl()
  const split = [9002, 9000, 9001].map((HostPort) => mapping({ HostPort, Port: HostPort - 8000 }))
  await publishPorts(control, 'ep', [...split, mapping({ HostPort: 9003, Port: 80 })])
  expect(texts(control)).toEqual(['* 9000:1000 3 tcp', '* 9003:80 1 tcp'])
})

test('one port of the host for two of the container is refused as what it is', async () => {
  const control = new FakeControl()
  const twice = [mapping({ HostPort: 8080 }), mapping({ HostPort: 8080, Port: 81 })]
  await expect(publishPorts(control, 'ep', twice)).rejects.toThrow(
    'Cannot publish 8080/tcp twice: for port 80 and for port 81 of the container',
  )
  expect(control.publications).toEqual([])
  await publishPorts(control, 'ep', [
    mapping({ HostPort: 8080 }),
    mapping({ HostPort: 8080, Proto: 17 }),
  ])
  expect(control.publications).toHaveLength(2)
})

test('of a range for one port, the first that is free', async () => {
  const control = new FakeControl()
  await publishPorts(control, 'other', [mapping({ HostPort: 8000 }), mapping({ HostPort: 8001 })])
  await publishPorts(control, 'ep', [mapping({ HostPort: 8000, HostPortEnd: 8002 })])
  expect(control.publicationsOf('ep').map(({ hostPort }) => hostPort)).toEqual([8002])
  const full = publishPorts(control, 'third', [mapping({ HostPort: 8000, HostPortEnd: 8002 })])
  await expect(full).rejects.toThrow('8002/tcp: it is published for endpoint ep')
})

test('all or none: what was published is taken back, what stood before stays', async () => {
  const control = new FakeControl()
  await publishPorts(control, 'other', [mapping({ Proto: 17, HostPort: 53 })])
  await publishPorts(control, 'ep', [mapping({ HostPort: 8080 })])
  const before = control.state
  const wanted = [8080, 8081, 8083].map((HostPort) => mapping({ HostPort }))
  const both = publishPorts(control, 'ep', [...wanted, mapping({ Proto: 17, HostPort: 53 })])
  await expect(both).rejects.toThrow('published for endpoint other')
  expect(control.state).toBe(before)
})

for (const { what, wrong, says } of [
  { what: 'a protocol without ports', wrong: mapping({ Proto: 1 }), says: 'protocol 1' },
  { what: 'no address', wrong: mapping({ HostIP: 'localhost' }), says: '"localhost"' },
]) {
  test(`${what} is refused`, async () => {
    await expect(publishPorts(new FakeControl(), 'ep', [wrong])).rejects.toThrow(says)
  })
}

test('what is taken back is gone, and taking it back again is fine', async () => {
  const control = new FakeControl()
  await publishPorts(control, 'ep', CAPTURED)
  await unpublishPorts(control, 'ep')
  await unpublishPorts(control, 'ep')
  expect(control.publications).toEqual([])
})
