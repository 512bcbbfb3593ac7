/**
 * The cluster's own certificates: one authority (ECDSA P-256, made on the first host) that signs server
 * certificates for the store's hosts and client certificates for every member. A member's common name is
 * its host id, by which the store knows what it may write. RFC 5280, RFC 2986.
 */

import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { isIP } from 'node:net'
import * as x509 from '@peculiar/x509'
import { messageOf, NetworkError } from '../lib/errors.ts'
import type { Identity } from './check.ts'

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
/** Clocks of hosts differ; a new certificate is valid a little before now. */
const BACKDATE_MS = 5 * 60_000
const DAY_MS = 86_400_000
const AUTHORITY_DAYS = 3650

export type Role = 'server' | 'client'

export interface CertificateWishes {
  readonly commonName: string
  readonly dnsNames?: readonly string[]
  readonly ipAddresses?: readonly string[]
  readonly notAfter: Date
  readonly roles: readonly Role[]
}

/** Makes a self-signed authority, valid for ten years from `now`. */
export async function createAuthority(now: Date, commonName = 'carrick'): Promise<Identity> {
  const keys = await newKeys()
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: subject(commonName),
    keys,
    signingAlgorithm: ALGORITHM,
    notBefore: new Date(now.getTime() - BACKDATE_MS),
    notAfter: new Date(now.getTime() + AUTHORITY_DAYS * DAY_MS),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { certificate: pemOf(certificate), key: await exportKey(keys.privateKey) }
}

/** Makes a key pair and a certificate for it. */
export async function issueCertificate(
  authority: Identity,
  wishes: CertificateWishes,
  now: Date,
): Promise<Identity> {
  const keys = await newKeys()
  const certificate = await certify(authority, keys.publicKey, wishes, now)
  return { certificate, key: await exportKey(keys.privateKey) }
}

/** Makes a key pair and a request for a certificate; the key stays with the caller. */
export async function createRequest(
  commonName: string,
): Promise<{ readonly request: string; readonly key: string }> {
  const keys = await newKeys()
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: subject(commonName),
    keys,
    signingAlgorithm: ALGORITHM,
  })
  return { request: `${request.toString('pem')}\n`, key: await exportKey(keys.privateKey) }
}

/**
 * Signs a request: only its public key counts, after the request has proved to hold the private one; the
 * name and the roles are ours to say. Throws `invalid` when it is no request or proves nothing.
 */
export async function signRequest(
  authority: Identity,
  request: string,
  wishes: CertificateWishes,
  now: Date,
): Promise<string> {
  let publicKey: webcrypto.CryptoKey
  try {
    const parsed = new x509.Pkcs10CertificateRequest(request)
    if (!(await parsed.verify())) throw new Error('its signature is wrong')
    publicKey = await parsed.publicKey.export(ALGORITHM, ['verify'])
  } catch (error) {
    throw new NetworkError('invalid', `Cannot sign the certificate request: ${messageOf(error)}`, {
      cause: error,
    })
  }
  return certify(authority, publicKey, wishes, now)
}

/** The common name of a certificate's subject, '' when it has none. */
export function commonNameOf(certificate: string): string {
  const [name = ''] = new x509.X509Certificate(certificate).subjectName.getField('CN')
  return name
}

async function certify(
  authority: Identity,
  publicKey: webcrypto.CryptoKey,
  wishes: CertificateWishes,
  now: Date,
): Promise<string> {
  const issuer = new x509.X509Certificate(authority.certificate)
  const der = x509.PemConverter.decodeFirst(authority.key)
  const signingKey = await webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, false, ['sign'])
  const certificate = await x509.X509CertificateGenerator.create({
    subject: subject(wishes.commonName),
    issuer: issuer.subject,
    publicKey,
    signingKey,
    signingAlgorithm: ALGORITHM,
    notBefore: new Date(now.getTime() - BACKDATE_MS),
    notAfter: wishes.notAfter,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(wishes.roles.map((role) => USAGES[role])),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      ...alternativeNames(wishes),
    ],
  })
  return pemOf(certificate)
}

const USAGES: Readonly<Record<Role, string>> = {
  server: x509.ExtendedKeyUsage.serverAuth,
  client: x509.ExtendedKeyUsage.clientAuth,
}

function alternativeNames(wishes: CertificateWishes): x509.Extension[] {
  const { dnsNames = [], ipAddresses = [] } = wishes
  const wrong = ipAddresses.find((address) => isIP(address) === 0)
  if (wrong !== undefined) {
    throw new NetworkError('invalid', `Cannot issue a certificate: "${wrong}" is no address`)
  }
  const names: x509.JsonGeneralName[] = [
    ...dnsNames.map((value) => ({ type: 'dns' as const, value })),
    ...ipAddresses.map((value) => ({ type: 'ip' as const, value })),
  ]
  return names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]
}

function subject(commonName: string): x509.JsonName {
  return [{ CN: [commonName] }]
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = await webcrypto.subtle.exportKey('pkcs8', key)
  return `${x509.PemConverter.encode(der, x509.PemConverter.PrivateKeyTag)}\n`
}

function pemOf(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem')}\n`
}
