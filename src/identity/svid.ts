/**
 * The SPIFFE id of a certificate whose chain has been verified (X.509-SVID, sections 2 to 5).
 *
 * Exactly one URI name, a leaf that may sign, for both ends of TLS. Names are read from DER, never from
 * the text that OpenSSL prints of them, in which a name may pretend to be several.
 */

import { identityLimits } from '../model/authority-limits.ts';
import { type Extension, readCertificateParts } from './certificate-reader.ts';
import {
  childrenOf,
  contextTag,
  DerError,
  readBits,
  readBoolean,
  readDer,
  readObjectIdentifier,
  Tag,
} from './der-reader.ts';
import { publicKeyProblem, signatureProblem } from './key-strength.ts';
import { readSpiffeId } from './spiffe-id.ts';

/** The workload that a certificate is about. */
export interface Svid {
  /** `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT`. */
  readonly id: string;
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** Why it is nobody's, for a person. */
export interface SvidProblem {
  readonly problem: string;
}

/** @param der one certificate, as it came in the handshake (`getPeerCertificate().raw`, X509Certificate.raw) */
export type ReadSvid = (der: Buffer) => Svid | SvidProblem;

/**
 * Says nothing about signatures, times and revocation: OpenSSL has verified the chain. About 8 us a
 * certificate (2026-11-26), once a connection.
 */
export const readSvid: ReadSvid = (der) => {
  try {
    return readCertificate(der);
  } catch (error) {
    if (error instanceof DerError) return { problem: `not a valid certificate: ${error.message}` };
    throw error;
  }
};

const oid = {
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
};

/** Choices of GeneralName that are bytes without a structure of their own (RFC 5280 4.2.1.6). */
const dnsName = contextTag(2, false);
const uriName = contextTag(6, false);

function readCertificate(der: Buffer): Svid | SvidProblem {
  const { version, algorithm, keyInfo, extensions } = readCertificateParts(der);
  if (version !== 3) return { problem: 'not a version 3 certificate' };
  const weak = signatureProblem(algorithm) ?? publicKeyProblem(keyInfo);
  if (weak !== undefined) return { problem: weak };
  return usageProblem(extensions) ?? readName(extensions.get(oid.subjectAltName));
}

/** X.509-SVID 4.1, 4.3, 4.4: a leaf, that signs and does nothing else, at either end of TLS. */
function usageProblem(extensions: ReadonlyMap<string, Extension>): SvidProblem | undefined {
  const constraints = extensions.get(oid.basicConstraints);
  if (constraints !== undefined) {
    const [isAuthority] = childrenOf(readDer(constraints.value), 'the basic constraints');
    if (isAuthority?.tag === Tag.Boolean && readBoolean(isAuthority, 'the authority mark')) {
      return { problem: 'the certificate of an authority, not of a workload' };
    }
  }
  const usage = extensions.get(oid.keyUsage);
  if (usage === undefined) return { problem: 'no key usage' };
  if (!usage.isCritical) return { problem: 'a key usage that is not critical' };
  const [first = 0] = readBits(readDer(usage.value), 'the key usage').bytes;
  // digitalSignature is bit 0, keyCertSign 5, cRLSign 6 (RFC 5280 4.2.1.3).
  if ((first & 0x80) === 0) return { problem: 'its key may not sign handshakes' };
  if ((first & 0x06) !== 0) return { problem: 'its key may sign certificates' };
  const purposes = extensions.get(oid.extendedKeyUsage);
  if (purposes === undefined) return undefined;
  const ids = childrenOf(readDer(purposes.value), 'the extended key usage').map((each) =>
    readObjectIdentifier(each, 'a purpose'),
  );
  if (ids.includes(oid.serverAuth) && ids.includes(oid.clientAuth)) return undefined;
  return { problem: 'not for both ends of TLS (extended key usage)' };
}

/** X.509-SVID 2: one URI and no more; DNS names beside it are allowed and mean nothing. */
function readName(extension: Extension | undefined): Svid | SvidProblem {
  if (extension === undefined) return { problem: 'no subject alternative name, so no SPIFFE id' };
  const names = childrenOf(readDer(extension.value), 'the names');
  if (names.length > identityLimits.svidNamesMax) {
    return { problem: `${names.length} names; at most ${identityLimits.svidNamesMax} are read` };
  }
  const uris = names.filter(({ tag }) => tag === uriName);
  if (uris.length !== 1) return { problem: `${uris.length} URI names; a workload has exactly one` };
  const odd = names.find(({ tag, content }) => tag === dnsName && !isDnsName(content));
  if (odd !== undefined) return { problem: `a DNS name that is none: ${shown(odd.content)}` };
  const { content } = uris[0]!;
  if (content.some((byte) => byte <= 0x20 || byte >= 0x7f)) {
    return { problem: `a URI name with characters that no URI has: ${shown(content)}` };
  }
  return readSpiffeId(content.toString('latin1'));
}

function isDnsName(bytes: Buffer): boolean {
  return /^[A-Za-z0-9*._-]+$/.test(bytes.toString('latin1'));
}

function shown(bytes: Buffer): string {
  return JSON.stringify(bytes.toString('latin1', 0, 120));
}
