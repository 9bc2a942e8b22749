/**
 * What the certificates of authorities allow below them (RFC 5280 4.2.1.9, 4.2.1.10, 4.2.1.12).
 *
 * OpenSSL judges the chain in every handshake of the mesh. A certificate that it would refuse there is not
 * taken into use here in the place of a good one. What is not understood is refused, and named.
 */

import type { X509Certificate } from 'node:crypto';
import { type Extension, readCertificateParts } from './certificate-reader.ts';
import {
  childrenOf,
  contextTag,
  DerError,
  type DerNode,
  readDer,
  readObjectIdentifier,
  Tag,
} from './der-reader.ts';

const oid = {
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
};

/**
 * Extensions that may be critical, as OpenSSL has them: key ids, usages, names, basic constraints, name
 * constraints, places of lists, and policies, which nobody asks for.
 */
const known = new Set([14, 15, 17, 19, 30, 31, 32, 33, 35, 36, 37, 54].map((id) => `2.5.29.${id}`));

const uriName = contextTag(6, false);

/**
 * Why `issuers` may not have signed for a workload of `trustDomain`; undefined: they may.
 *
 * @param issuers who has signed the leaf first, the root last
 */
export function issuersProblem(
  issuers: readonly X509Certificate[],
  trustDomain: string,
): string | undefined {
  let between = 0;
  for (const issuer of issuers) {
    const problem = issuerProblem(issuer, between, trustDomain);
    if (problem !== undefined) return `${nameOf(issuer)} ${problem}`;
    // One that has signed itself another certificate does not count.
    if (issuer.subject !== issuer.issuer) between++;
  }
  return undefined;
}

function issuerProblem(
  { raw }: X509Certificate,
  between: number,
  trustDomain: string,
): string | undefined {
  try {
    const { extensions } = readCertificateParts(raw);
    return (
      criticalProblem(extensions) ??
      lengthProblem(extensions.get(oid.basicConstraints), between) ??
      purposeProblem(extensions.get(oid.extendedKeyUsage)) ??
      namesProblem(extensions.get(oid.nameConstraints), trustDomain)
    );
  } catch (error) {
    if (error instanceof DerError) return `cannot be read: ${error.message}`;
    throw error;
  }
}

function criticalProblem(extensions: ReadonlyMap<string, Extension>): string | undefined {
  for (const [id, { isCritical }] of extensions) {
    if (isCritical && !known.has(id)) return `has the critical extension ${id}, which is not known`;
  }
  return undefined;
}

function lengthProblem(found: Extension | undefined, between: number): string | undefined {
  if (found === undefined) return undefined;
  const parts = childrenOf(readDer(found.value), 'the basic constraints');
  const length = parts.find(({ tag }) => tag === Tag.Integer);
  if (length === undefined) return undefined;
  const allowed = Number.parseInt(length.content.toString('hex'), 16);
  if (between <= allowed) return undefined;
  return `allows ${allowed} issuers below it (pathlen), and there are ${between}`;
}

function purposeProblem(found: Extension | undefined): string | undefined {
  if (found === undefined) return undefined;
  const purposes = childrenOf(readDer(found.value), 'the extended key usage').map((each) =>
    readObjectIdentifier(each, 'a purpose'),
  );
  if (purposes.includes(oid.serverAuth) && purposes.includes(oid.clientAuth)) return undefined;
  return 'is not for both ends of TLS (extended key usage)';
}

function namesProblem(found: Extension | undefined, trustDomain: string): string | undefined {
  if (found === undefined) return undefined;
  const parts = childrenOf(readDer(found.value), 'the name constraints');
  const [permitted, excluded] = [0, 1].map((number) =>
    parts.filter(({ tag }) => tag === contextTag(number, true)).flatMap(({ children }) => children),
  ) as [DerNode[], DerNode[]];
  const hosts = (subtrees: DerNode[]) => subtrees.map(uriHostOf);
  const [allowed, forbidden] = [hosts(permitted), hosts(excluded)];
  if ([...allowed, ...forbidden].includes(undefined)) {
    return 'has name constraints of another kind than URI, which are not supported';
  }
  const holds = (host: string | undefined) => covers(host!, trustDomain);
  if (forbidden.some(holds)) return `forbids URIs of ${trustDomain} (name constraints)`;
  if (allowed.length === 0 || allowed.some(holds)) return undefined;
  return `permits no URIs of ${trustDomain} (name constraints: ${allowed.join(', ')})`;
}

/** Undefined: another kind of name, or bounds that are none (RFC 5280 4.2.1.10). */
function uriHostOf(subtree: DerNode): string | undefined {
  const [base, ...bounds] = childrenOf(subtree, 'a subtree of names');
  if (base?.tag !== uriName || bounds.length > 0) return undefined;
  return base.content.toString('latin1').toLowerCase();
}

/** `.example.com` is for what is below it, `example.com` for itself. */
function covers(host: string, trustDomain: string): boolean {
  if (host.startsWith('.')) return trustDomain.length > host.length && trustDomain.endsWith(host);
  return host === trustDomain;
}

/** On one line. */
function nameOf({ subject }: X509Certificate): string {
  return subject === undefined ? 'an issuer' : subject.replaceAll('\n', ', ');
}
