/**
 * Keys and certificates of a mesh for tests, made in memory in about a millisecond each: no program is
 * started, no file written.
 *
 *   const root = makeRoot();                              // a trust domain's root, and who signs under it
 *   const identity = makeIdentity(root, { serviceAccount: 'web' });   // what a ProxyServer takes as `mesh`
 *   identity.replace(makeMaterial(root, { serviceAccount: 'web' }));  // its next generation
 *   const leaf = makeLeaf(root, { serviceAccount: 'web' });           // { certificates, privateKey } for node:tls
 *   for (const hostile of hostileLeaves) hostile.make(root)           // what no end may believe
 */

import { systemRandom } from '../../src/base/random.ts';
import { Secret } from '../../src/base/secret.ts';
import { generateKeys, privateKeyPem, spkiOf } from '../../src/identity/certificate.ts';
import {
  issueIssuer,
  issueLeaf,
  issueRoot,
  type Signer,
  signerOf,
} from '../../src/identity/leaf.ts';
import { MeshIdentity, type MeshMaterial } from '../../src/identity/mesh-identity.ts';
import { workloadId } from '../../src/identity/spiffe-id.ts';

/** A root or an issuer under one. */
export interface MeshSigner {
  /** PEM of the root: what the other end has to trust. */
  readonly roots: string;
  /** PEM of the issuers between a leaf and the root, the leaf's own first; '' for a root. */
  readonly issuers: string;
  readonly signer: Signer;
}

export interface Workload {
  /** Default `cluster.local`. */
  readonly trustDomain?: string;
  /** Default `default`. */
  readonly namespace?: string;
  /** Default `default`. */
  readonly serviceAccount?: string;
}

export interface LeafTerms extends Workload {
  /** From now, milliseconds; default one hour. May be negative: it has expired. */
  readonly lifeMs?: number;
  /** Before now, milliseconds; default one minute. Negative: it is not valid yet. */
  readonly backdateMs?: number;
  /** Beside the id. */
  readonly dnsNames?: readonly string[];
}

/** What one end of TLS shows: `tls.connect({ cert: certificates, key: privateKey })`. */
export interface MeshLeaf {
  /** PEM: the leaf, then its issuers. */
  readonly certificates: string;
  /** PKCS #8, PEM. */
  readonly privateKey: string;
  /** The leaf alone. */
  readonly der: Buffer;
  readonly notAfterMs: number;
}

const dayMs = 86_400_000;

/** A fresh root, good for a year; `lifeMs` may be negative. */
export function makeRoot(lifeMs = 365 * dayMs): MeshSigner {
  const now = Date.now();
  const life = { notBeforeMs: Math.min(now, now + lifeMs) - dayMs, notAfterMs: now + lifeMs };
  const { pem, keys } = issueRoot('Tracecar test root', life, systemRandom);
  return { roots: pem, issuers: '', signer: signerOf(pem, keys.privateKey) };
}

let names = 0;

/** Each has another: a chain of equal names is self-issued and has no length (RFC 5280 4.2.1.9). */
function nextName(): string {
  names += 1;
  return `Tracecar test issuer ${names}`;
}

/** An issuer under `above`, good for a month at most. */
export function makeIssuer(above: MeshSigner, lifeMs = 30 * dayMs): MeshSigner {
  const now = Date.now();
  const life = { notBeforeMs: Math.min(now, now + lifeMs) - dayMs, notAfterMs: now + lifeMs };
  const { pem, keys } = issueIssuer(above.signer, nextName(), life, systemRandom);
  const issuers = pem + above.issuers;
  return { roots: above.roots, issuers, signer: signerOf(pem, keys.privateKey) };
}

/** The SPIFFE id of a workload. */
export function idOf({ trustDomain, namespace, serviceAccount }: Workload): string {
  const [domain, ns] = [trustDomain ?? 'cluster.local', namespace ?? 'default'];
  const id = workloadId(domain, ns, serviceAccount ?? 'default');
  if (id === undefined) throw new Error('these names make no SPIFFE id');
  return id;
}

/** A leaf as the authority issues them, with a fresh key. */
export function makeLeaf(by: MeshSigner, terms: LeafTerms = {}): MeshLeaf {
  const keys = generateKeys();
  const now = Date.now();
  const request = {
    id: idOf(terms),
    publicKey: spkiOf(keys.publicKey),
    notBeforeMs: now - (terms.backdateMs ?? 60_000),
    notAfterMs: now + (terms.lifeMs ?? 3_600_000),
    ...(terms.dnsNames === undefined ? {} : { dnsNames: terms.dnsNames }),
  };
  const { der, pem, notAfterMs } = issueLeaf(by.signer, request, systemRandom);
  const privateKey = privateKeyPem(keys.privateKey);
  return { certificates: pem + by.issuers, privateKey, der, notAfterMs };
}

/** What `MeshIdentity.replace` takes: a fresh leaf and the roots of `by`, or others. */
export function makeMaterial(
  by: MeshSigner,
  terms: LeafTerms & { readonly roots?: string } = {},
): Omit<MeshMaterial, 'generation'> {
  const { certificates, privateKey, notAfterMs } = makeLeaf(by, terms);
  return {
    id: idOf(terms),
    trustDomain: terms.trustDomain ?? 'cluster.local',
    certificates,
    privateKey: new Secret(privateKey),
    roots: terms.roots ?? by.roots,
    notAfterMs,
  };
}

/** An identity in its first generation: ready for `ProxyOptions.mesh`. */
export function makeIdentity(
  by: MeshSigner,
  terms: LeafTerms & { readonly roots?: string } = {},
): MeshIdentity {
  const identity = new MeshIdentity();
  identity.replace(makeMaterial(by, terms));
  return identity;
}
