import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { readArguments } from './arguments.ts'

const NOTHING = { addresses: [], mac: undefined, pod: {} }

for (const { name, text, want } of [
  { name: 'nothing', text: '', want: NOTHING },
  {
    name: 'what podman sends',
    text: 'IgnoreUnknown=1;K8S_POD_NAME=web1;MAC=0a:00:00:00:00:55;IP=10.236.0.55',
    want: { addresses: ['10.236.0.55'], mac: '0a:00:00:00:00:55', pod: { name: 'web1' } },
  },
  {
    name: 'what containerd sends',
    text: 'K8S_POD_NAMESPACE=team-ns;K8S_POD_NAME=pod-a;K8S_POD_INFRA_CONTAINER_ID=29791ecd55;K8S_POD_UID=9d0c1e2a-1111-2222-3333-444455556666;IgnoreUnknown=1',
    want: {
      ...NOTHING,
      pod: { name: 'pod-a', namespace: 'team-ns', uid: '9d0c1e2a-1111-2222-3333-444455556666' },
    },
  },
  {
    name: 'several addresses (multus)',
    text: 'IP=10.0.0.1, fd00::1',
    want: { ...NOTHING, addresses: ['10.0.0.1', 'fd00::1'] },
  },
  { name: 'an unknown key', text: 'FOO=bar', want: NOTHING },
  { name: 'a key without value and one with two', text: 'FOO;X=a=b;=c;;MAC=', want: NOTHING },
  {
    name: 'JSON of Nomad',
    text: 'NOMAD_X={"a":"b"};IP=10.0.0.1',
    want: { ...NOTHING, addresses: ['10.0.0.1'] },
  },
  { name: 'a key in another case', text: 'ip=10.0.0.1', want: NOTHING },
  {
    name: 'a key twice',
    text: 'IP=10.0.0.1;IP=10.0.0.2',
    want: { ...NOTHING, addresses: ['10.0.0.2'] },
  },
]) {
  test(`readArguments() of ${name}`, () => assert.deepEqual(readArguments(text), want))
}
