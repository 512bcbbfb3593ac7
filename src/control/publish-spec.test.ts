import { test } from 'bun:test'
import assert from 'node:assert/strict'
import type { FieldError } from '../lib/errors.ts'
import { network } from '../store/replica/fixtures.ts'
import { checkPorts, readPort } from './publish-spec.ts'

const every = { protocol: 'tcp', hostAddress: undefined, count: 1 }

for (const { text, want } of [
  { text: '8080:80', want: { ...every, hostPort: 8080, containerPort: 80 } },
  { text: '80', want: { ...every, hostPort: 0, containerPort: 80 } },
  { text: '0:80', want: { ...every, hostPort: 0, containerPort: 80 } },
  { text: ':80', want: { ...every, hostPort: 0, containerPort: 80 } },
  { text: '80/UDP', want: { ...every, protocol: 'udp', hostPort: 0, containerPort: 80 } },
  {
    text: '127.0.0.1:5353:53/udp',
    want: {
      ...{ protocol: 'udp', hostAddress: '127.0.0.1', hostPort: 5353, containerPort: 53 },
      count: 1,
    },
  },
  {
    text: '192.0.2.5:80',
    want: { ...every, hostAddress: '192.0.2.5', hostPort: 0, containerPort: 80 },
  },
  {
    text: '192.0.2.5::80',
    want: { ...every, hostAddress: '192.0.2.5', hostPort: 0, containerPort: 80 },
  },
  {
    text: '[2001:DB8::1]:8080:80/sctp',
    want: {
      ...{ protocol: 'sctp', hostAddress: '2001:db8::1', hostPort: 8080, containerPort: 80 },
      count: 1,
    },
  },
  {
    text: '[::1]:80',
    want: { ...every, hostAddress: '::1', hostPort: 0, containerPort: 80 },
  },
  {
    text: '9000-9002:9000-9002',
    want: { ...every, hostPort: 9000, containerPort: 9000, count: 3 },
  },
  {
    text: '0.0.0.0:80:80',
    want: { ...every, hostAddress: '0.0.0.0', hostPort: 80, containerPort: 80 },
  },
  { text: '[::]:80', want: { ...every, hostAddress: '::', hostPort: 0, containerPort: 80 } },
  { text: '0:80-82', want: { ...every, hostPort: 0, containerPort: 80, count: 3 } },
  { text: '80-82', want: { ...every, hostPort: 0, containerPort: 80, count: 3 } },
  { text: '65535:65535', want: { ...every, hostPort: 65535, containerPort: 65535 } },
]) {
  test(`readPort() of "${text}"`, () => {
    assert.deepEqual(readPort(text), { ok: true, port: want })
  })
}

for (const { text, want } of [
  { text: '8000-8010:80', want: /11 of the host's ports for 1 of the container's/ },
  { text: '8000:80-82', want: /1 of the host's ports for 3/ },
  { text: '8000-8001:80-82', want: /2 of the host's ports for 3/ },
  { text: '0-0:80-81', want: /begins with port 0/ },
  { text: '0-2:80-82', want: /begins with port 0/ },
  { text: '8080:0', want: /port 0 of a container is none/ },
  { text: '9002-9000:9002-9000', want: /runs backwards/ },
  { text: '70000:80', want: /port 70000 is not between 1 and 65535/ },
  { text: '80:65536', want: /port 65536 is not between/ },
  { text: '65534-65536:80-82', want: /port 65536 is not between/ },
  { text: '80:80/tpc', want: /no protocol "tpc" with ports: perhaps "tcp" was meant/ },
  { text: '80:80/icmp', want: /one of tcp, udp, sctp/ },
  { text: '80:80/', want: /no protocol ""/ },
  { text: '80:80/tcp/udp', want: /is not \[ADDRESS:\]/ },
  { text: '2001:db8::1:8080:80', want: /IPv6 address in brackets/ },
  { text: 'web:8080:80', want: /"web" is not an address/ },
  { text: '300.0.2.5:8080:80', want: /"300.0.2.5" is not an address/ },
  { text: 'http:80', want: /"http" is neither a port nor a range/ },
  { text: '-80:80', want: /"-80" is neither/ },
  { text: '80:', want: /"" is neither/ },
  { text: '', want: /"" is neither/ },
  { text: ' 80', want: /" 80" is neither/ },
]) {
  test(`readPort() refuses "${text}"`, () => {
    const read = readPort(text)
    assert.match(read.ok ? 'it took it' : read.problem, want)
  })
}

for (const { name, wishes, fields, internal, v4 } of [
  {
    name: 'ports that differ',
    wishes: ['80:80', '80:80/udp', '81:80', '0:80', '0:80'],
    fields: [],
  },
  {
    name: 'the same port of two addresses',
    wishes: ['127.0.0.1:80:80', '192.0.2.5:80:80', '[::1]:80:80'],
    fields: [],
  },
  {
    name: 'a port twice',
    wishes: ['8080:80', '8080:81'],
    fields: ['/publish/1: 8080/tcp is wanted twice: once as 8080/tcp'],
  },
  {
    name: 'a port in a range, on one address and on all',
    wishes: ['9000-9002:1-3', '[::1]:9002:80'],
    fields: ['/publish/1: [::1]:9002/tcp is wanted twice: once as 9000-9002/tcp'],
  },
  {
    name: 'every address of each family, one of them once more',
    wishes: [
      { hostAddress: '0.0.0.0', hostPort: 8080, containerPort: 80 },
      { hostAddress: '::', hostPort: 8080, containerPort: 80 },
      '[2001:db8::1]:8080:81',
    ],
    fields: ['/publish/2: [2001:db8::1]:8080/tcp is wanted twice: once as [::]:8080/tcp'],
  },
  {
    name: 'every address of each family, as text',
    wishes: ['0.0.0.0:80:80', '[::]:80:80', '0.0.0.0:80:80/udp'],
    fields: [],
  },
  {
    name: 'every address of a family beside every address, and beside one',
    wishes: ['0.0.0.0:80:80', '80:81', '127.0.0.1:80:81', '[::1]:80:81'],
    fields: [
      '/publish/1: 80/tcp is wanted twice: once as 0.0.0.0:80/tcp',
      '/publish/2: 127.0.0.1:80/tcp is wanted twice: once as 0.0.0.0:80/tcp',
    ],
  },
  {
    name: 'every address of a family that the endpoint lacks',
    v4: true,
    wishes: ['[::]:80:80', '0.0.0.0:80:80'],
    fields: ['/publish/0: :: is an IPv6 address, and the endpoint has IPv4 only'],
  },
  {
    name: 'an address of a family that the endpoint lacks',
    v4: true,
    wishes: ['[2001:db8::1]:80:80', '192.0.2.5:80:80'],
    fields: ['/publish/0: 2001:db8::1 is an IPv6 address, and the endpoint has IPv4 only'],
  },
  {
    name: 'an internal network',
    internal: true,
    wishes: ['80:80'],
    fields: ['/publish/0: network net-n1 is internal: nothing reaches it from outside'],
  },
  {
    name: 'fields, and several that are wrong',
    wishes: [{ containerPort: 80, hostPort: 8080, protocol: 'udp' }, { containerPort: 1.5 }, 'x'],
    fields: [
      '/publish/1: port 1.5 is not between 1 and 65535',
      '/publish/2: "x" cannot be published: "x" is neither a port nor a range of ports',
    ],
  },
]) {
  test(`checkPorts() of ${name}`, () => {
    const wrong: FieldError[] = []
    const checked = checkPorts(
      wishes,
      {
        network: network('n1', { internal: internal === true }),
        families: new Set(v4 === true ? [4] : [4, 6]),
        pointer: '/publish',
      },
      wrong,
    )
    assert.deepEqual(
      wrong.map(({ pointer, message }) => `${pointer}: ${message}`),
      fields,
    )
    assert.equal(checked.length, wishes.length - fields.length)
  })
}
