import { expect, test } from 'bun:test'
import type { Endpoint } from '../../model/endpoint.ts'
import { ENGINE_LABELS } from '../../model/engine-network.ts'
import { labelsFor } from './endpoint-labels.ts'

const web = { id: 'abcdef0123456789', name: 'Shop_web.1', image: 'bb', labels: {} }

function given(...names: readonly string[]) {
  return { names, linkLocals: [] }
}

/** Of an endpoint nothing but its labels is looked at. */
function endpoint(labels: Record<string, string>): Endpoint {
  return { labels } as unknown as Endpoint
}

test('a container’s name, image, names and labels come over, and its endpoint’s own stay', () => {
  const had = { [ENGINE_LABELS.endpoint]: 'e1', app: 'mine' }
  const labels = { app: 'web', tier: 'front', 'com.docker.compose.service': 'web' }
  const found = labelsFor(endpoint(had), { ...web, labels }, given('www', 'abcdef012345'))
  expect(found).toEqual({
    [ENGINE_LABELS.endpoint]: 'e1',
    app: 'mine',
    tier: 'front',
    'com.docker.compose.service': 'web',
    [ENGINE_LABELS.container]: 'Shop_web.1',
    [ENGINE_LABELS.image]: 'bb',
    [ENGINE_LABELS.names]: 'Shop_web.1,www,abcdef012345,web',
  })
  expect(labelsFor(endpoint(found ?? {}), { ...web, labels }, given('www', 'abcdef012345'))).toBe(
    undefined,
  )
})

test('link-local addresses are noted, and stay while a container was not asked', () => {
  const linkLocals = ['169.254.7.7', 'fe80::7:7']
  const had = labelsFor(endpoint({}), web, { names: [], linkLocals }) ?? {}
  expect(had[ENGINE_LABELS.linkLocal]).toBe('169.254.7.7,fe80::7:7')
  expect(labelsFor(endpoint(had), web, given())).toBe(undefined)
})

test('what cannot be a label of ours is left out', () => {
  const labels = {
    'carrick/docker-endpoint': 'forged',
    'bad key': 'x',
    long: 'x'.repeat(300),
    ...Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`k${i}`, ''])),
  }
  const found = labelsFor(endpoint({ [ENGINE_LABELS.endpoint]: 'e1' }), { ...web, labels }, given())
  expect(found?.[ENGINE_LABELS.endpoint]).toBe('e1')
  expect(Object.keys(found ?? {})).not.toContain('bad key')
  expect(Object.keys(found ?? {})).not.toContain('long')
  expect(Object.keys(found ?? {}).length).toBe(64)
})

test('names fill their label and no more', () => {
  const aliases = Array.from({ length: 100 }, (_, i) => `alias-number-${i}`)
  const names =
    labelsFor(endpoint({}), web, given('a,b', ' ', ...aliases))?.[ENGINE_LABELS.names] ?? ''
  expect(names.length).toBeLessThanOrEqual(255)
  expect(names.split(',').slice(0, 2)).toEqual(['Shop_web.1', 'alias-number-0'])
})
