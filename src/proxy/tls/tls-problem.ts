/**
 * Which failure it is that a TLS connection to an upstream did not come about, and what to say of it.
 *
 * Codes of OpenSSL's alerts and of its verification of chains, by the words that Node.js makes of them.
 */

import type { X509Certificate } from 'node:crypto';
import { type Failure, failure } from '../../model/failure.ts';

export interface TlsProblem {
  readonly failure: Failure;
  /** For people: what was expected and what was seen. */
  readonly detail: string;
  /** SPIFFE ids, where the peer has proved to be another one than it has to be. */
  readonly stranger?: { readonly expected: string; readonly proved: string };
}

/** One of OpenSSL's errors about a chain (X509_verify_cert), and the certificate of the peer. */
export function chainProblem(
  error: { readonly code?: string; readonly message: string },
  peer: X509Certificate | undefined,
): TlsProblem {
  const { code = error.message } = error;
  const whose = peer === undefined ? '' : `, ${printCertificate(peer)}`;
  return { failure: failure[causeOfChain(code)], detail: `${code}${whose}` };
}

function causeOfChain(code: string) {
  switch (code) {
    case 'CERT_HAS_EXPIRED':
    case 'CERT_NOT_YET_VALID':
      return 'tls-expired';
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'CERT_SIGNATURE_FAILURE':
    case 'CERT_UNTRUSTED':
      return 'tls-unknown-ca';
    default:
      return 'tls-failed';
  }
}

/**
 * An error of the socket while it is secured, or right after: in TLS 1.3 the dialling end is done before
 * the other has looked at its certificate, so that one's refusal comes late.
 */
export function handshakeProblem(error: NodeJS.ErrnoException): TlsProblem {
  const code = error.code ?? error.message;
  return { failure: failure[causeOfHandshake(code)], detail: code };
}

function causeOfHandshake(code: string) {
  switch (code) {
    // Bytes that are no TLS, read as its first record.
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'ERR_SSL_PACKET_LENGTH_TOO_LONG':
    case 'ERR_SSL_HTTP_REQUEST':
      return 'tls-plaintext-peer';
    case 'ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED':
    case 'ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED':
      return 'tls-expired';
    case 'ERR_SSL_TLS_ALERT_UNKNOWN_CA':
    case 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA':
      return 'tls-unknown-ca';
    default:
      return 'tls-failed';
  }
}

/** An alert of the peer's, by the code of the error that Node.js makes of it. */
export function isAlert(code: string): boolean {
  return code.startsWith('ERR_SSL_') && code.includes('ALERT');
}

/** Names, issuer and end of a certificate, for people. */
export function printCertificate(certificate: X509Certificate): string {
  const { subjectAltName, subject, issuer, validTo } = certificate;
  const name = (subjectAltName ?? subject ?? 'a certificate without a name').slice(0, 300);
  return `${name} issued by ${oneLine(issuer)}, valid until ${validTo}`;
}

function oneLine(name: string): string {
  return name === '' ? 'nobody' : name.replaceAll('\n', ', ').slice(0, 300);
}
