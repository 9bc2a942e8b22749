/**
 * The certificates that the webhook serves with: an authority of our own and a leaf it signed.
 *
 * Pure but for fresh keys: what is stored goes in, what is to be stored comes out. A leaf is renewed
 * at 2/3 of its life under the same authority, so nothing has to be published anew. An authority is
 * followed at 2/3 of its own: the bundle then holds both, and the next leaf comes from the new one;
 * until then weeks have passed in which everybody read the bundle.
 */

import { createHash, createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import {
  type ServingCertificateLimits,
  servingCertificateLimits,
} from '../model/injector-limits.ts';
import { generateKeys, issueCertificate, type KeyPair, privateKeyPem } from './certificate.ts';

/** What the Secret holds, all PEM. */
export interface ServingCertificate {
  /** What callers trust: the newest authority first, older ones that are still valid after it. */
  readonly caPem: string;
  /** Key of the first authority of `caPem`. A secret. */
  readonly caKeyPem: string;
  readonly certPem: string;
  /** A secret. */
  readonly keyPem: string;
  /** When the leaf ends, milliseconds since the epoch. */
  readonly notAfter: number;
}

export interface ServingRequest {
  /** DNS names and IP addresses of the leaf; at least one. */
  readonly dnsNames: readonly string[];
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly limits?: ServingCertificateLimits;
}

export type StoredCertificate = Omit<ServingCertificate, 'notAfter'>;

const dayMs = 86_400_000;

/** A new authority and a leaf of it. */
export function issueServingCertificate(request: ServingRequest): ServingCertificate {
  const keys = generateKeys();
  const caPem = issueAuthority(keys, request);
  return issueLeaf(caPem, keys, request);
}

/**
 * What to store instead of `stored`, with the reason; undefined when it is good as it is. Anything
 * that cannot be used (no PEM, a key of another certificate, other names) is replaced, never mended.
 */
export function renewServingCertificate(
  stored: StoredCertificate,
  request: ServingRequest,
): { readonly certificate: ServingCertificate; readonly reason: string } | undefined {
  const authority = readAuthority(stored, request);
  if (typeof authority === 'string') {
    return { certificate: issueServingCertificate(request), reason: authority };
  }
  if (isOld(authority.certificate, request)) {
    const keys = generateKeys();
    const caPem = issueAuthority(keys, request) + authority.validPem;
    const reason = 'the authority has passed 2/3 of its life';
    const problem = leafProblem(stored, authority.all, request);
    if (problem !== undefined) return { certificate: issueLeaf(caPem, keys, request), reason };
    const notAfter = new X509Certificate(stored.certPem).validToDate.getTime();
    const { certPem, keyPem } = stored;
    const caKeyPem = privateKeyPem(keys.privateKey);
    return { certificate: { caPem, caKeyPem, certPem, keyPem, notAfter }, reason };
  }
  const problem = leafProblem(stored, authority.all, request);
  if (problem === undefined) return undefined;
  return { certificate: issueLeaf(authority.validPem, authority.keys, request), reason: problem };
}

/**
 * Whether a server may use the pair now: the leaf can be read, is in its time and fits its key.
 * Gives the reason why not. Says nothing about who signed it.
 */
export function pairProblem(certPem: string, keyPem: string, now: number): string | undefined {
  const leaf = parseCertificate(certPem);
  if (leaf === undefined) return 'the certificate cannot be read';
  if (!fitsKey(leaf, keyPem)) return 'the key is not the one of the certificate';
  if (now >= leaf.validToDate.getTime()) return 'the certificate has expired';
  if (now < leaf.validFromDate.getTime()) return 'the certificate is not valid yet';
  return undefined;
}

/** Every certificate of a PEM text; what is between them is ignored. */
export function splitPem(pem: string): string[] {
  return pem.match(/-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g) ?? [];
}

interface Authority {
  readonly certificate: X509Certificate;
  readonly keys: KeyPair;
  readonly all: readonly X509Certificate[];
  /** Those that have not expired. */
  readonly validPem: string;
}

function readAuthority(stored: StoredCertificate, { now, dnsNames }: ServingRequest) {
  const texts = splitPem(stored.caPem);
  const all = texts.map(parseCertificate).filter((each) => each !== undefined);
  const certificate = all[0];
  if (certificate === undefined || all.length !== texts.length) return 'no authority can be read';
  if (!certificate.ca) return 'the first certificate of the bundle is no authority';
  if (!fitsKey(certificate, stored.caKeyPem)) return 'the key of the authority is another one';
  if (now >= certificate.validToDate.getTime()) return 'the authority has expired';
  if (!permits(certificate, dnsNames)) return 'the authority is for other names';
  const privateKey = createPrivateKey(stored.caKeyPem);
  const validPem = all
    .filter((each) => now < each.validToDate.getTime())
    .map((each) => each.toString())
    .join('');
  const keys = { privateKey, publicKey: createPublicKey(privateKey) };
  const authority: Authority = { certificate, keys, all, validPem };
  return authority;
}

function leafProblem(
  stored: StoredCertificate,
  authorities: readonly X509Certificate[],
  request: ServingRequest,
): string | undefined {
  const problem = pairProblem(stored.certPem, stored.keyPem, request.now);
  if (problem !== undefined) return problem;
  const leaf = new X509Certificate(stored.certPem);
  const isSigned = authorities.some(
    (each) => leaf.checkIssued(each) && leaf.verify(each.publicKey),
  );
  if (!isSigned) return 'the certificate was signed by somebody else';
  const isForAll = request.dnsNames.every((name) =>
    isIP(name) === 0 ? leaf.checkHost(name) !== undefined : leaf.checkIP(name) !== undefined,
  );
  if (!isForAll) return 'the certificate is for other names';
  if (isOld(leaf, request)) return 'the certificate has passed 2/3 of its life';
  return undefined;
}

/** The authority's common name holds a hash of the names that its constraints permit. */
function permits(authority: X509Certificate, names: readonly string[]): boolean {
  return authority.subject === `CN=${authorityNameOf(names)}`;
}

/** Below the 64 characters that a common name may have (RFC 5280, ub-common-name). */
function authorityNameOf(names: readonly string[]): string {
  const dnsNames = names.filter((name) => isIP(name) === 0).sort();
  const hash = createHash('sha256').update(dnsNames.join(' ')).digest('hex').slice(0, 12);
  return `tracecar-injector authority ${hash}`;
}

function isOld(certificate: X509Certificate, { now, limits }: ServingRequest): boolean {
  const from = certificate.validFromDate.getTime();
  const life = certificate.validToDate.getTime() - from;
  return now >= from + life * (limits ?? servingCertificateLimits).renewShare;
}

function issueAuthority(keys: KeyPair, { dnsNames, now, limits }: ServingRequest): string {
  const { authorityDays, backdateMs } = limits ?? servingCertificateLimits;
  const subject = authorityNameOf(dnsNames);
  return issueCertificate({
    subject,
    publicKey: keys.publicKey,
    notBefore: now - backdateMs,
    notAfter: now + authorityDays * dayMs,
    issuer: { subject, keys },
    names: dnsNames,
    isAuthority: true,
  });
}

/** `caPem` begins with the certificate of `keys`. A leaf never outlives its authority. */
function issueLeaf(caPem: string, keys: KeyPair, request: ServingRequest): ServingCertificate {
  const { leafDays, backdateMs } = request.limits ?? servingCertificateLimits;
  const authority = new X509Certificate(splitPem(caPem)[0]!);
  const leafKeys = generateKeys();
  const notAfter = Math.min(request.now + leafDays * dayMs, authority.validToDate.getTime());
  const certPem = issueCertificate({
    subject: request.dnsNames[0]!.slice(0, 64),
    publicKey: leafKeys.publicKey,
    notBefore: request.now - backdateMs,
    notAfter,
    issuer: { subject: authorityNameOf(request.dnsNames), keys },
    names: request.dnsNames,
    isAuthority: false,
  });
  const keyPem = privateKeyPem(leafKeys.privateKey);
  return { caPem, caKeyPem: privateKeyPem(keys.privateKey), certPem, keyPem, notAfter };
}

function parseCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

function fitsKey(certificate: X509Certificate, keyPem: string): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(keyPem));
  } catch {
    return false;
  }
}
