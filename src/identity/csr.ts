/**
 * Requests for a certificate: a sidecar writes them, the authority reads them (PKCS #10, RFC 2986).
 *
 * A request proves one thing, that who sends it holds the key: its signature is checked before anything
 * else is done with it. Names and wishes in it are read past: whose leaf it becomes, and for how long,
 * is decided by the token that came with it. Keys are P-256 and nothing else.
 */

import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { type KeyPair, pemOf, spkiOf } from './certificate.ts';
import { bits, encode, integer, objectIdentifier, ownDer, sequence, tagged } from './der.ts';
import {
  childrenOf,
  contextTag,
  DerError,
  expectTag,
  readBits,
  readDer,
  readObjectIdentifier,
  Tag,
} from './der-reader.ts';
import { publicKeyProblem } from './key-strength.ts';

/** What is taken of a request. */
export interface SigningRequest {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer;
  /** SHA-256 of it, hex. */
  readonly keyHash: string;
}

/** What is wrong with a request, for a person. */
export interface RequestProblem {
  readonly problem: string;
}

const ecdsaWithSha256 = '1.2.840.10045.4.3.2';
const prime256v1 = '1.2.840.10045.3.1.7';

/** A request without any name, PEM, signed by the key that it is for. */
export function writeCertificateRequest(keys: KeyPair): string {
  const unsigned = sequence(
    integer(Buffer.of(0)),
    sequence(),
    ownDer(spkiOf(keys.publicKey)),
    tagged(0),
  );
  const signature = sign('sha256', encode(unsigned), keys.privateKey);
  const algorithm = sequence(objectIdentifier(ecdsaWithSha256));
  const der = encode(sequence(unsigned, algorithm, bits(signature)));
  return pemOf(der, 'CERTIFICATE REQUEST');
}

/** Reads one PEM request and checks its signature; about 90 us, nearly all of it the signature's. */
export function readCertificateRequest(pem: string): SigningRequest | RequestProblem {
  const der = derOf(pem);
  if (der === undefined) return { problem: 'it is not one PEM block CERTIFICATE REQUEST' };
  try {
    return readRequest(der);
  } catch (error) {
    if (error instanceof DerError) return { problem: error.message };
    throw error;
  }
}

function readRequest(der: Buffer): SigningRequest | RequestProblem {
  const [info, algorithm, signature, ...rest] = childrenOf(readDer(der), 'the request');
  if (rest.length > 0) throw new DerError('a request of more than three parts');
  const fields = childrenOf(info, 'the part that is signed');
  const [version, subject, keyInfo, attributes, ...more] = fields;
  const { content } = expectTag(version, Tag.Integer, 'the version');
  if (content.length !== 1 || content[0] !== 0 || more.length > 0) {
    throw new DerError('a request of another version');
  }
  expectTag(subject, Tag.Sequence, 'the subject');
  // RFC 2986 4.1 has the attributes in every request, empty or not; some programs leave them out.
  if (attributes !== undefined) expectTag(attributes, contextTag(0, true), 'the attributes');
  const weak = publicKeyProblem(keyInfo);
  if (weak !== undefined) return { problem: weak };
  const publicKey = expectTag(keyInfo, Tag.Sequence, 'the public key').whole;
  if (!isPrime256(publicKey)) return { problem: 'its key is not on the curve P-256' };
  const [algorithmId] = childrenOf(algorithm, 'the algorithm of the signature');
  if (readObjectIdentifier(algorithmId, 'the algorithm of the signature') !== ecdsaWithSha256) {
    return { problem: 'it is not signed by ECDSA with SHA-256' };
  }
  const signed = expectTag(info, Tag.Sequence, 'the part that is signed').whole;
  const { bytes } = readBits(signature, 'the signature');
  if (!isSigned(signed, bytes, publicKey)) {
    return { problem: 'its signature is not of the key in it: nothing proves who holds that key' };
  }
  return { publicKey, keyHash: createHash('sha256').update(publicKey).digest('hex') };
}

function isPrime256(keyInfo: Buffer): boolean {
  const [, curve] = childrenOf(readDer(keyInfo).children[0], 'the algorithm of the key');
  return (
    curve?.tag === Tag.ObjectIdentifier && readObjectIdentifier(curve, 'the curve') === prime256v1
  );
}

/** False too for a point that is not on its curve, which OpenSSL finds when it loads the key. */
function isSigned(signed: Buffer, signature: Buffer, publicKey: Buffer): boolean {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: publicKey, format: 'der', type: 'spki' });
  } catch {
    return false;
  }
  return verify('sha256', signed, key, signature);
}

/** The bytes of the only block; undefined for anything else. Base64 is read strictly (RFC 7468 3). */
function derOf(pem: string): Buffer | undefined {
  const found =
    /^\s*-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----\s+([A-Za-z0-9+/=\s]+)-----END (?:NEW )?CERTIFICATE REQUEST-----\s*$/.exec(
      pem,
    );
  if (found === null) return undefined;
  const text = found[1]!.replace(/\s/g, '');
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return undefined;
  return Buffer.from(text, 'base64');
}
