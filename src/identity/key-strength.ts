/**
 * Which keys and signatures the mesh believes: P-256, P-384, P-521, Ed25519, RSA from 2048 bits; SHA-2.
 *
 * OpenSSL refuses most of the rest by its security level, which depends on how it was built; this list
 * does not. Read from DER: a key that is not believed is never given to OpenSSL.
 */

import type { X509Certificate } from 'node:crypto';
import { identityLimits } from '../model/authority-limits.ts';
import { readCertificateParts } from './certificate-reader.ts';
import {
  childrenOf,
  DerError,
  type DerNode,
  expectTag,
  readBits,
  readDer,
  readObjectIdentifier,
  Tag,
} from './der-reader.ts';

/** RFC 5758 3.2, RFC 4055 5, RFC 8410 3. RSA-PSS is left out: no authority that we know needs it. */
const signatures = new Set([
  '1.2.840.10045.4.3.2',
  '1.2.840.10045.4.3.3',
  '1.2.840.10045.4.3.4',
  '1.2.840.113549.1.1.11',
  '1.2.840.113549.1.1.12',
  '1.2.840.113549.1.1.13',
  '1.3.101.112',
]);

/** RFC 5480 2.1.1.1. */
const curves = new Map([
  ['1.2.840.10045.3.1.7', 65],
  ['1.3.132.0.34', 97],
  ['1.3.132.0.35', 133],
]);

const ecKey = '1.2.840.10045.2.1';
const rsaKey = '1.2.840.113549.1.1.1';
const ed25519Key = '1.3.101.112';

/**
 * Why the key of a certificate, or the signature under it, is not believed; undefined: both are. Whoever
 * is believed as a root is so without a signature: its own is not looked at.
 */
export function strengthProblem({ raw }: X509Certificate, isRoot: boolean): string | undefined {
  try {
    const { algorithm, keyInfo } = readCertificateParts(raw);
    return (isRoot ? undefined : signatureProblem(algorithm)) ?? publicKeyProblem(keyInfo);
  } catch (error) {
    if (error instanceof DerError) return `an odd form: ${error.message}`;
    throw error;
  }
}

/** @param algorithm AlgorithmIdentifier of a certificate's signature. Throws DerError. */
export function signatureProblem(algorithm: DerNode | undefined): string | undefined {
  const [idNode] = childrenOf(algorithm, 'the algorithm of the signature');
  const id = readObjectIdentifier(idNode, 'the algorithm of the signature');
  return signatures.has(id) ? undefined : `signed by an algorithm that is not believed (${id})`;
}

/** @param keyInfo SubjectPublicKeyInfo (RFC 5280 4.1.2.7). Throws DerError. */
export function publicKeyProblem(keyInfo: DerNode | undefined): string | undefined {
  const [algorithm, key, ...rest] = childrenOf(keyInfo, 'the public key');
  if (rest.length > 0) throw new DerError('a public key of more than two parts');
  const [idNode, parameters] = childrenOf(algorithm, 'the algorithm of the key');
  const id = readObjectIdentifier(idNode, 'the algorithm of the key');
  const { bytes, unused } = readBits(key, 'the public key');
  if (unused !== 0) throw new DerError('a public key that is no whole number of bytes');
  if (id === ecKey) return curveProblem(parameters, bytes);
  if (id === rsaKey) return rsaProblem(bytes);
  if (id === ed25519Key) return undefined;
  return `a key of a kind that is not believed (${id})`;
}

function curveProblem(parameters: DerNode | undefined, point: Buffer): string | undefined {
  if (parameters?.tag !== Tag.ObjectIdentifier) return 'a key on a curve without a name';
  const curve = readObjectIdentifier(parameters, 'the curve');
  const length = curves.get(curve);
  if (length === undefined) return `a key on a curve that is not believed (${curve})`;
  const isPoint = point.length === length && point[0] === 4;
  return isPoint ? undefined : 'a key that is not an uncompressed point of its curve';
}

function rsaProblem(bytes: Buffer): string | undefined {
  const [modulusNode, exponentNode] = childrenOf(readDer(bytes), 'the RSA key');
  const modulus = unsigned(modulusNode, 'the RSA modulus');
  const exponent = unsigned(exponentNode, 'the RSA exponent');
  const length = bitLength(modulus);
  if (length < identityLimits.rsaBitsMin) {
    return `an RSA key of ${length} bits; at least ${identityLimits.rsaBitsMin} are believed`;
  }
  const isOdd = ((exponent[exponent.length - 1] ?? 0) & 1) === 1;
  return isOdd && bitLength(exponent) > 1 ? undefined : 'an RSA key with a useless exponent';
}

function unsigned(node: DerNode | undefined, what: string): Buffer {
  const { content } = expectTag(node, Tag.Integer, what);
  if (content.length === 0 || content[0]! >= 0x80) throw new DerError(`${what} is negative`);
  return content;
}

function bitLength(bytes: Buffer): number {
  const start = bytes.findIndex((byte) => byte !== 0);
  if (start === -1) return 0;
  return (bytes.length - start) * 8 - (Math.clz32(bytes[start]!) - 24);
}
