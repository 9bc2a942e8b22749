/**
 * Certificates of the mesh's own authority: roots, issuers under them, and the leaves of workloads.
 *
 *   root (1 year) ──► issuer (30 days) ──► leaf (24 hours): one critical URI name, empty subject
 *
 * What a leaf says is decided here alone: nothing of a request gets in but its public key. No
 * certificate outlives the one that signed it.
 */

import { type KeyObject, X509Certificate } from 'node:crypto';
import type { Random } from '../base/random.ts';
import {
  distinguishedName,
  extension,
  generateKeys,
  type KeyPair,
  keyHash,
  pemOf,
  signCertificate,
  spkiOf,
} from './certificate.ts';
import { readCertificateParts } from './certificate-reader.ts';
import {
  bits,
  type DerValue,
  integer,
  isTrue,
  objectIdentifier,
  octets,
  ownDer,
  sequence,
  taggedBytes,
} from './der.ts';
import { readDer } from './der-reader.ts';

/** Who signs: a certificate and its key, with the DER that goes into everything it signs. */
export interface Signer {
  readonly certificate: X509Certificate;
  readonly privateKey: KeyObject;
  /** Its subject, as DER. */
  readonly name: Buffer;
  /** Its subject key identifier. */
  readonly keyId: Buffer;
  readonly notAfterMs: number;
}

export interface LeafRequest {
  /** The SPIFFE id, which the caller has checked. */
  readonly id: string;
  /** Beside the id: only the authority's own leaf has any. */
  readonly dnsNames?: readonly string[];
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer;
  readonly notBeforeMs: number;
  /** Cut to the end of the signer. */
  readonly notAfterMs: number;
}

export interface IssuedLeaf {
  readonly der: Buffer;
  readonly pem: string;
  /** Hex. */
  readonly serial: string;
  readonly notAfterMs: number;
}

/** A certificate that signs others, and its key. */
export interface IssuedAuthority {
  readonly pem: string;
  readonly keys: KeyPair;
}

export interface Life {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

const subjectKeyIdentifier = '2.5.29.14';
const purposes = ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'];
const digitalSignature = Buffer.of(0x80);
const certificateAndListSign = Buffer.of(0x06);

/** A self-signed root with a fresh key. `name` is for people: it identifies nobody. */
export function issueRoot(name: string, life: Life, random: Random): IssuedAuthority {
  const keys = generateKeys();
  const keyId = keyHash(keys.publicKey).subarray(0, 20);
  const subject = distinguishedName(name);
  const der = signCertificate(
    {
      serial: randomSerial(random),
      issuer: subject,
      subject,
      notBefore: life.notBeforeMs,
      notAfter: life.notAfterMs,
      publicKey: spkiOf(keys.publicKey),
      extensions: authorityExtensions(keyId, keyId, 1),
    },
    keys.privateKey,
  );
  return { pem: pemOf(der), keys };
}

/** An issuer with a fresh key under `signer`. */
export function issueIssuer(
  signer: Signer,
  name: string,
  life: Life,
  random: Random,
): IssuedAuthority {
  const keys = generateKeys();
  const keyId = keyHash(keys.publicKey).subarray(0, 20);
  const der = signCertificate(
    {
      serial: randomSerial(random),
      issuer: ownDer(signer.name),
      subject: distinguishedName(name),
      notBefore: life.notBeforeMs,
      notAfter: Math.min(life.notAfterMs, signer.notAfterMs),
      publicKey: spkiOf(keys.publicKey),
      extensions: authorityExtensions(keyId, signer.keyId, 0),
    },
    signer.privateKey,
  );
  return { pem: pemOf(der), keys };
}

/** The leaf of one workload (X.509-SVID, section 4 and appendix A). */
export function issueLeaf(signer: Signer, request: LeafRequest, random: Random): IssuedLeaf {
  const serial = randomSerial(random);
  // Certificates have whole seconds; what is said of the end has to be what is in it.
  const notAfterMs = Math.floor(Math.min(request.notAfterMs, signer.notAfterMs) / 1_000) * 1_000;
  const der = signCertificate(
    {
      serial,
      issuer: ownDer(signer.name),
      subject: sequence(),
      notBefore: request.notBeforeMs,
      notAfter: notAfterMs,
      publicKey: request.publicKey,
      extensions: leafExtensions(signer.keyId, request),
    },
    signer.privateKey,
  );
  return { der, pem: pemOf(der), serial: serial.toString('hex'), notAfterMs };
}

/**
 * A certificate that may sign, and its key, made ready. Throws when they are no pair or the certificate
 * is no authority's.
 */
export function signerOf(certificatePem: string, privateKey: KeyObject): Signer {
  const certificate = new X509Certificate(certificatePem);
  if (!certificate.ca) throw new Error('the certificate is no authority: CA:TRUE is missing');
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new Error('the key is not the one of the certificate');
  }
  const { subject, extensions } = readCertificateParts(certificate.raw);
  const own = extensions.get(subjectKeyIdentifier)?.value;
  return {
    certificate,
    privateKey,
    name: subject.whole,
    keyId:
      own === undefined ? keyHash(certificate.publicKey).subarray(0, 20) : readDer(own).content,
    notAfterMs: certificate.validToDate.getTime(),
  };
}

function authorityExtensions(own: Buffer, issuer: Buffer, levels: number): DerValue[] {
  return [
    extension('2.5.29.19', true, sequence(isTrue(), integer(Buffer.of(levels)))),
    extension('2.5.29.15', true, bits(certificateAndListSign, 1)),
    extension(subjectKeyIdentifier, false, octets(own)),
    extension('2.5.29.35', false, sequence(taggedBytes(0, issuer))),
  ];
}

/** The names are critical because the subject is empty (RFC 5280 4.2.1.6). */
function leafExtensions(issuer: Buffer, { id, dnsNames }: LeafRequest): DerValue[] {
  const names = [
    taggedBytes(6, Buffer.from(id, 'latin1')),
    ...(dnsNames ?? []).map((name) => taggedBytes(2, Buffer.from(name, 'latin1'))),
  ];
  return [
    extension('2.5.29.19', true, sequence()),
    extension('2.5.29.15', true, bits(digitalSignature, 7)),
    extension('2.5.29.37', false, sequence(...purposes.map(objectIdentifier))),
    extension('2.5.29.35', false, sequence(taggedBytes(0, issuer))),
    extension('2.5.29.17', true, sequence(...names)),
  ];
}

/** 128 bits, of which the first is clear and the second set: positive, and of one length. */
function randomSerial(random: Random): Buffer {
  const serial = Buffer.alloc(16);
  for (let at = 0; at < serial.length; at += 4) serial.writeUInt32BE(random.u32(), at);
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  return serial;
}
