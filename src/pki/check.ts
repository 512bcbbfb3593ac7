/** Looking at certificates without the library that makes them: every start does this, few make any. */

import { createHash, createPublicKey, X509Certificate } from 'node:crypto'
import { NetworkError } from '../lib/errors.ts'

/** A certificate and its private key, both as PEM. */
export interface Identity {
  readonly certificate: string
  /** PKCS #8. */
  readonly key: string
}

/** SHA-256 of the certificate's public key (its SPKI), base64url: what a join token carries. */
export function caHash(certificate: string): string {
  const spki = createPublicKey(certificate).export({ type: 'spki', format: 'der' })
  return createHash('sha256').update(spki).digest('base64url')
}

/** Throws `unauthenticated`, naming `file` and the date, when the certificate is not valid at `now`. */
export function checkCertificate(certificate: string, file: string, now: Date): void {
  let parsed: X509Certificate
  try {
    parsed = new X509Certificate(certificate)
  } catch (error) {
    throw new NetworkError('invalid', `Cannot use ${file}: it holds no certificate`, {
      cause: error,
    })
  }
  const notBefore = new Date(parsed.validFrom)
  const notAfter = new Date(parsed.validTo)
  if (now > notAfter) throw invalidNow(file, `the certificate expired at ${notAfter.toISOString()}`)
  if (now < notBefore) {
    throw invalidNow(file, `the certificate is valid from ${notBefore.toISOString()} only`)
  }
}

function invalidNow(file: string, found: string): NetworkError {
  return new NetworkError('unauthenticated', `Cannot use ${file}: ${found}`, {
    details: { file },
    hint: 'Join the cluster again with a new token',
  })
}
