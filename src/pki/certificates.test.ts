/** Our certificates, judged by the runtime's own X.509 code. */

import { expect, test } from 'bun:test'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isNetworkError } from '../lib/errors.ts'
import {
  commonNameOf,
  createAuthority,
  createRequest,
  issueCertificate,
  signRequest,
} from './certificates.ts'
import { caHash, checkCertificate } from './check.ts'
import {
  readAuthority,
  readTlsMaterial,
  writeAuthorityCertificate,
  writeIdentity,
} from './files.ts'

const now = new Date('2026-03-01T12:00:00Z')
const later = new Date('2026-06-01T12:00:00Z')
const authority = await createAuthority(now)
const host = { commonName: '01hq', notAfter: later, roles: ['client'] as const }

test('an authority signs for servers, with names and addresses of both families', async () => {
  const wishes = {
    commonName: 'store',
    dnsNames: ['store.example.org'],
    ipAddresses: ['192.0.2.7', '2001:db8::7'],
    notAfter: later,
    roles: ['server'] as const,
  }
  const { certificate } = await issueCertificate(authority, wishes, now)
  const parsed = new X509Certificate(certificate)
  const ca = new X509Certificate(authority.certificate)
  expect([ca.ca, parsed.ca]).toEqual([true, false])
  expect(parsed.verify(ca.publicKey)).toBe(true)
  expect(parsed.checkIP('2001:db8::7')).toBe('2001:db8::7')
  expect(parsed.checkIP('192.0.2.7')).toBe('192.0.2.7')
  expect(parsed.checkIP('192.0.2.8')).toBeUndefined()
  expect(parsed.checkHost('store.example.org')).toBe('store.example.org')
  expect(new Date(parsed.validTo)).toEqual(later)
})

test('an address that is none is refused', async () => {
  const wishes = { ...host, ipAddresses: ['192.0.2.256'] }
  expect(isNetworkError(await failure(issueCertificate(authority, wishes, now)), 'invalid')).toBe(
    true,
  )
})

test('a request is signed for its key, under the name we say', async () => {
  const { request, key } = await createRequest('i-am-root')
  const certificate = await signRequest(authority, request, host, now)
  expect(commonNameOf(certificate)).toBe('01hq')
  expect(key).toContain('PRIVATE KEY')
})

test('a request that does not prove its key, or is none, is refused', async () => {
  const { request } = await createRequest('x')
  const [head = '', ...body] = request.trim().split('\n')
  const der = Buffer.from(body.slice(0, -1).join(''), 'base64')
  der[der.length - 3] = (der[der.length - 3] ?? 0) ^ 1
  const forged = [head, der.toString('base64'), body.at(-1)].join('\n')
  for (const wrong of [forged, 'nonsense', authority.certificate]) {
    const error = await failure(signRequest(authority, wrong, host, now))
    expect(isNetworkError(error, 'invalid')).toBe(true)
  }
})

test('the hash of an authority is of its key', async () => {
  const other = await createAuthority(now)
  expect(caHash(authority.certificate)).toMatch(/^[A-Za-z0-9_-]{43}$/)
  expect(caHash(other.certificate)).not.toBe(caHash(authority.certificate))
})

test('an expired certificate is named with its file and date', async () => {
  const { certificate } = await issueCertificate(authority, host, now)
  checkCertificate(certificate, '/x/host.pem', now)
  const after = new Date('2026-06-02T00:00:00Z')
  expect(() => checkCertificate(certificate, '/x/host.pem', after)).toThrow(
    'Cannot use /x/host.pem: the certificate expired at 2026-06-01T12:00:00.000Z',
  )
  const before = new Date('2025-01-01T00:00:00Z')
  expect(() => checkCertificate(certificate, '/x/host.pem', before)).toThrow('valid from')
})

test('files: private, whole, and complete before they are used', async () => {
  const root = mkdtempSync(join(tmpdir(), 'ckt-tls-'))
  const directory = join(root, 'tls')
  try {
    expect(readTlsMaterial(directory, 'host', now)).toBeUndefined()
    const identity = await issueCertificate(authority, host, now)
    writeIdentity(directory, 'host', identity)
    expect(readTlsMaterial(directory, 'host', now)).toBeUndefined()
    writeAuthorityCertificate(directory, authority.certificate)
    const material = readTlsMaterial(directory, 'host', now)
    expect(material).toEqual({ ca: authority.certificate, ...identity })
    expect(readAuthority(directory, now)).toBeUndefined()
    writeIdentity(directory, 'ca', authority)
    expect(readAuthority(directory, now)).toEqual(authority)
    expect(statSync(directory).mode & 0o777).toBe(0o700)
    expect(readdirSync(directory).sort()).toEqual(['ca.key', 'ca.pem', 'host.key', 'host.pem'])
    for (const file of readdirSync(directory)) {
      expect(statSync(join(directory, file)).mode & 0o777).toBe(0o600)
    }
    const expired = new Date('2026-07-01T00:00:00Z')
    expect(() => readTlsMaterial(directory, 'host', expired)).toThrow(
      `Cannot use ${join(directory, 'host.pem')}: the certificate expired at 2026-06-01`,
    )
    writeFileSync(join(directory, 'host.pem'), 'nonsense')
    expect(() => readTlsMaterial(directory, 'host', now)).toThrow('it holds no certificate')
  } finally {
    rmSync(root, { recursive: true })
  }
})

function failure(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  )
}
