import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { CNI_LABELS, POD_LABELS } from './cni.ts'
import { containerNameOf } from './container-name.ts'
import { ENGINE_LABELS } from './engine-network.ts'

const ID = '29791e'.padEnd(64, '0')

for (const { who, labels, want } of [
  { who: 'an engine', labels: { [ENGINE_LABELS.container]: 'web' }, want: 'web' },
  {
    who: 'Podman or Kubernetes',
    labels: { [CNI_LABELS.container]: ID, [POD_LABELS.name]: 'pod-a' },
    want: 'pod-a',
  },
  { who: 'ctr', labels: { [CNI_LABELS.container]: 'default-c1' }, want: 'default-c1' },
  {
    who: 'a runtime that says an id only',
    labels: { [CNI_LABELS.container]: ID },
    want: '29791e000000',
  },
  { who: 'nobody', labels: {}, want: undefined },
]) {
  test(`containerNameOf() what ${who} made`, () => {
    assert.equal(containerNameOf(labels), want)
  })
}
