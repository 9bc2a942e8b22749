/**
 * X.509 certificates of our own issue: P-256 keys, ECDSA with SHA-256 (RFC 5280, RFC 5480, RFC 5758).
 *
 * node:crypto makes the keys and signs, `der.ts` encodes, OpenSSL verifies. A serial number is a hash
 * of the fresh public key, so it is as random as the key; no certificate has a serial of its own luck.
 */

import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';
import {
  bits,
  type DerValue,
  encode,
  integer,
  isTrue,
  nothing,
  objectIdentifier,
  octets,
  ownDer,
  sequence,
  setOf,
  tagged,
  taggedBytes,
  time,
  utf8,
} from './der.ts';

export interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

export interface CertificateRequest {
  readonly subject: string;
  readonly publicKey: KeyObject;
  readonly notBefore: number;
  readonly notAfter: number;
  /** Who signs. An authority signs itself: its own name and key. */
  readonly issuer: { readonly subject: string; readonly keys: KeyPair };
  /** DNS names and IP addresses. For an authority: the only DNS names that it may sign. */
  readonly names: readonly string[];
  readonly isAuthority: boolean;
}

const ecdsaWithSha256 = '1.2.840.10045.4.3.2';
const commonName = '2.5.4.3';
const serverAuth = '1.3.6.1.5.5.7.3.1';
const keyUsage = { digitalSignature: Buffer.of(0x80), certificateAndListSign: Buffer.of(0x06) };

/** A fresh P-256 pair. */
export function generateKeys(): KeyPair {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

/** PKCS #8, PEM. A secret. */
export function privateKeyPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** What is signed; `issuer` and `subject` are names (RFC 5280 4.1.2.4), times milliseconds. */
export interface CertificateParts {
  /** 16 bytes or so, the first bit clear (RFC 5280 4.1.2.2). */
  readonly serial: Buffer;
  readonly issuer: DerValue;
  readonly subject: DerValue;
  readonly notBefore: number;
  readonly notAfter: number;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer;
  readonly extensions: readonly DerValue[];
}

/**
 * A certificate as DER. `signer` is an EC key (ours are P-256), RSA or Ed25519 (an outside issuer's);
 * throws for other kinds.
 */
export function signCertificate(parts: CertificateParts, signer: KeyObject): Buffer {
  const { algorithm, digest } = signatureAlgorithmOf(signer);
  const unsigned = sequence(
    tagged(0, integer(Buffer.of(2))),
    integer(parts.serial),
    algorithm,
    parts.issuer,
    sequence(time(parts.notBefore), time(parts.notAfter)),
    parts.subject,
    ownDer(parts.publicKey),
    tagged(3, sequence(...parts.extensions)),
  );
  const signature = sign(digest, encode(unsigned), signer);
  return encode(sequence(unsigned, algorithm, bits(signature)));
}

/** RFC 5758 3.2, RFC 4055 5 (its parameters are NULL), RFC 8410 3. */
function signatureAlgorithmOf(key: KeyObject): { algorithm: DerValue; digest: string | null } {
  if (key.asymmetricKeyType === 'ec') {
    return { algorithm: sequence(objectIdentifier(ecdsaWithSha256)), digest: 'sha256' };
  }
  if (key.asymmetricKeyType === 'rsa') {
    const algorithm = sequence(objectIdentifier('1.2.840.113549.1.1.11'), nothing());
    return { algorithm, digest: 'sha256' };
  }
  if (key.asymmetricKeyType === 'ed25519') {
    return { algorithm: sequence(objectIdentifier('1.3.101.112')), digest: null };
  }
  throw new Error(`a key of kind ${key.asymmetricKeyType} cannot sign certificates here`);
}

/** Issues one certificate, as PEM. Times are milliseconds since the epoch. */
export function issueCertificate(request: CertificateRequest): string {
  const parts: CertificateParts = {
    serial: keyHash(request.publicKey).subarray(0, 16),
    issuer: distinguishedName(request.issuer.subject),
    subject: distinguishedName(request.subject),
    notBefore: request.notBefore,
    notAfter: request.notAfter,
    publicKey: spkiOf(request.publicKey),
    extensions: extensionsOf(request),
  };
  return pemOf(signCertificate(parts, request.issuer.keys.privateKey));
}

function extensionsOf(request: CertificateRequest): DerValue[] {
  const own = keyHash(request.publicKey).subarray(0, 20);
  const issuer = keyHash(request.issuer.keys.publicKey).subarray(0, 20);
  const identifiers = [
    extension('2.5.29.14', false, octets(own)),
    extension('2.5.29.35', false, sequence(taggedBytes(0, issuer))),
  ];
  if (request.isAuthority) {
    return [
      extension('2.5.29.19', true, sequence(isTrue(), integer(Buffer.of(0)))),
      extension('2.5.29.15', true, bits(keyUsage.certificateAndListSign, 1)),
      ...identifiers,
      ...nameConstraints(request.names),
    ];
  }
  return [
    extension('2.5.29.19', true, sequence()),
    extension('2.5.29.15', true, bits(keyUsage.digitalSignature, 7)),
    extension('2.5.29.37', false, sequence(objectIdentifier(serverAuth))),
    ...identifiers,
    extension('2.5.29.17', false, sequence(...request.names.map(generalName))),
  ];
}

/** A stolen key of this authority is good for its own DNS names and for nothing else. */
function nameConstraints(names: readonly string[]): DerValue[] {
  const dnsNames = names.filter((name) => !isAddress(name));
  if (dnsNames.length === 0) return [];
  const permitted = dnsNames.map((name) => sequence(generalName(name)));
  return [extension('2.5.29.30', true, sequence(tagged(0, ...permitted)))];
}

/** One extension of a certificate (RFC 5280 4.2). */
export function extension(id: string, isCritical: boolean, value: DerValue): DerValue {
  const wrapped = octets(encode(value));
  return isCritical
    ? sequence(objectIdentifier(id), isTrue(), wrapped)
    : sequence(objectIdentifier(id), wrapped);
}

function generalName(name: string): DerValue {
  if (isAddress(name)) return taggedBytes(7, addressBytes(name));
  return taggedBytes(2, Buffer.from(name, 'latin1'));
}

function isAddress(name: string): boolean {
  return isIPv4(name) || isIPv6(name);
}

function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail] = ipv6Text(address).split('::');
  const first = wordsOf(head);
  const last = tail === undefined ? [] : wordsOf(tail);
  const words = [...first, ...Array<number>(8 - first.length - last.length).fill(0), ...last];
  const bytes = Buffer.alloc(16);
  words.forEach((word, index) => {
    bytes.writeUInt16BE(word, index * 2);
  });
  return bytes;
}

/** An IPv4 tail as two words, by the platform's own URL parser. */
function ipv6Text(address: string): string {
  return new URL(`http://[${address}]/`).hostname.slice(1, -1);
}

function wordsOf(text: string): number[] {
  return text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16));
}

/** A name of one part, its common name. */
export function distinguishedName(name: string): DerValue {
  return sequence(setOf(sequence(objectIdentifier(commonName), utf8(name))));
}

/** SubjectPublicKeyInfo, DER. */
export function spkiOf(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' });
}

/**
 * SHA-256 of a public key, for serials and key identifiers. The first bit is clear: a serial number is
 * positive and at most 20 bytes (RFC 5280 4.1.2.2).
 */
export function keyHash(key: KeyObject): Buffer {
  const hash = createHash('sha256').update(spkiOf(key)).digest();
  hash[0] = hash[0]! & 0x7f;
  return hash;
}

/** One certificate as PEM; `label` for other things. */
export function pemOf(der: Buffer, label = 'CERTIFICATE'): string {
  const lines = der.toString('base64').match(/.{1,64}/g)!;
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
