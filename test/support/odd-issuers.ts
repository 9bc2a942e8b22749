/** Issuers as outside authorities may write them, each with one limit, and who may use them. */

import { generateKeyPairSync } from 'node:crypto';
import {
  distinguishedName,
  extension,
  generateKeys,
  type KeyPair,
  keyHash,
  pemOf,
  privateKeyPem,
  signCertificate,
  spkiOf,
} from '../../src/identity/certificate.ts';
import {
  bits,
  type DerValue,
  isTrue,
  nothing,
  objectIdentifier,
  octets,
  ownDer,
  sequence,
  tagged,
  taggedBytes,
} from '../../src/identity/der.ts';
import { signerOf } from '../../src/identity/leaf.ts';
import { type MeshSigner, makeIssuer, makeRoot } from './mesh-material.ts';

export interface IssuerTerms {
  /** Default: P-256. */
  readonly keys?: KeyPair;
  /** From now, milliseconds; default an hour ago. */
  readonly beginsInMs?: number;
  /** Likewise; default in a day. */
  readonly endsInMs?: number;
  /** Default: a fresh one. */
  readonly root?: MeshSigner;
  readonly extra?: readonly DerValue[];
  /** It is under an issuer that allows none below it. */
  readonly isBelowLast?: boolean;
}

export interface IssuerCase extends IssuerTerms {
  /** A fact: `below one that allows none`. */
  readonly name: string;
  /** Undefined: it may be used. */
  readonly problem?: RegExp;
  /** OpenSSL would take it. */
  readonly isStricter?: boolean;
}

export interface OddIssuer {
  readonly by: MeshSigner;
  /** PKCS #8, PEM. */
  readonly privateKey: string;
}

const serverAuth = '1.3.6.1.5.5.7.3.1';
const clientAuth = '1.3.6.1.5.5.7.3.2';
const uris = (...hosts: string[]) => hosts.map((host) => taggedBytes(6, Buffer.from(host)));
const permitted = 0;
const excluded = 1;

function names(kind: number, bases: readonly DerValue[], isCritical = true): DerValue[] {
  const subtrees = tagged(kind, ...bases.map((base) => sequence(base)));
  return [extension('2.5.29.30', isCritical, sequence(subtrees))];
}

function purposes(...ids: string[]): DerValue[] {
  return [extension('2.5.29.37', false, sequence(...ids.map(objectIdentifier)))];
}

export const issuerCases: readonly IssuerCase[] = [
  { name: 'without limits' },
  { name: 'for our URIs', extra: names(permitted, uris('cluster.local')) },
  { name: 'for URIs in any case', extra: names(permitted, uris('Cluster.LOCAL')) },
  { name: 'for all that is below .local', extra: names(permitted, uris('.local')) },
  { name: 'for several', extra: names(permitted, uris('other.domain', 'cluster.local')) },
  { name: 'not for others', extra: names(excluded, uris('other.domain', '.cluster.local')) },
  { name: 'for both ends of TLS', extra: purposes(serverAuth, clientAuth) },
  { name: 'with something of its own', extra: [extension('1.2.3.4', false, nothing())] },
  {
    name: 'for URIs of others',
    extra: names(permitted, uris('other.domain')),
    problem: /CN=odd issuer permits no URIs of cluster\.local \(name constraints: other\.domain\)/,
  },
  {
    name: 'for URIs of others, which is not critical',
    extra: names(permitted, uris('other.domain'), false),
    problem: /permits no URIs of cluster\.local/,
  },
  {
    name: 'for what is below our trust domain',
    extra: names(permitted, uris('.cluster.local')),
    problem: /permits no URIs of cluster\.local/,
  },
  {
    name: 'for all but our URIs',
    extra: names(excluded, uris('other.domain', 'cluster.local')),
    problem: /forbids URIs of cluster\.local/,
  },
  {
    name: 'for DNS names of others',
    extra: names(permitted, [taggedBytes(2, Buffer.from('other.domain'))]),
    problem: /name constraints of another kind than URI/,
    isStricter: true,
  },
  {
    name: 'below one that allows none below it',
    isBelowLast: true,
    problem: /CN=.* allows 0 issuers below it \(pathlen\), and there are 1/,
  },
  {
    name: 'for servers only',
    extra: purposes(serverAuth),
    problem: /is not for both ends of TLS/,
  },
  {
    name: 'for clients only',
    extra: purposes(clientAuth),
    problem: /is not for both ends of TLS/,
  },
  {
    name: 'with something that is critical and not known',
    extra: [extension('1.2.3.4', true, nothing())],
    problem: /has the critical extension 1\.2\.3\.4/,
  },
];

export function makeOddIssuer(terms: IssuerTerms): OddIssuer {
  const { beginsInMs = -3_600_000, endsInMs = 86_400_000 } = terms;
  const { extra = [], isBelowLast = false } = terms;
  const { root = makeRoot() } = terms;
  const above = isBelowLast ? makeIssuer(root) : root;
  const { keys = generateKeys() } = terms;
  const keyId = keyHash(keys.publicKey).subarray(0, 20);
  const now = Date.now();
  const der = signCertificate(
    {
      serial,
      issuer: ownDer(above.signer.name),
      subject: distinguishedName('odd issuer'),
      notBefore: now + beginsInMs,
      notAfter: now + endsInMs,
      publicKey: spkiOf(keys.publicKey),
      extensions: [
        extension('2.5.29.19', true, sequence(isTrue())),
        extension('2.5.29.15', true, bits(Buffer.of(0x06), 1)),
        extension('2.5.29.14', false, octets(keyId)),
        extension('2.5.29.35', false, sequence(taggedBytes(0, above.signer.keyId))),
        ...extra,
      ],
    },
    above.signer.privateKey,
  );
  const pem = pemOf(der);
  const issuers = pem + above.issuers;
  const by = { roots: root.roots, issuers, signer: signerOf(pem, keys.privateKey) };
  return { by, privateKey: privateKeyPem(keys.privateKey) };
}

const serial = Buffer.from('51525354555657585152535455565758', 'hex');

/** On a curve that nobody believes, and that Node.js cannot describe (base/peer-certificate.ts). */
export function oddCurveKeys(): KeyPair {
  return generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
}

/**
 * A certificate with the root's name and key id, of a key on an odd curve, PEM: it proves nothing, and
 * anybody may send it behind a good one.
 */
export function makeDecoy({ signer }: MeshSigner): string {
  const { privateKey, publicKey } = oddCurveKeys();
  const now = Date.now();
  const parts = {
    ...{ serial, issuer: ownDer(signer.name), subject: ownDer(signer.name) },
    ...{ notBefore: now - 3_600_000, notAfter: now + 86_400_000, publicKey: spkiOf(publicKey) },
    extensions: [
      extension('2.5.29.19', true, sequence(isTrue())),
      extension('2.5.29.14', false, octets(signer.keyId)),
      extension('2.5.29.35', false, sequence(taggedBytes(0, signer.keyId))),
    ],
  };
  return pemOf(signCertificate(parts, privateKey));
}
