/**
 * Whether a certificate may be used as our own: for our key, our trust domain, under our roots, now.
 *
 * An authority that answers with the certificate of somebody else's key, or for somebody else, is
 * refused like any other bad answer: what was good before stays in use.
 */

import { createPrivateKey, type X509Certificate } from 'node:crypto';
import type { Secret } from '../base/secret.ts';
import { issuersProblem } from './issuer-constraints.ts';
import { strengthProblem } from './key-strength.ts';
import type { MeshMaterial } from './mesh-identity.ts';
import { splitPem } from './serving-certificate.ts';
import { readSvid } from './svid.ts';
import { readCertificate, type TrustBundle } from './trust-bundle.ts';

/** An own certificate that was proved to be good. */
export interface Grant {
  readonly material: Omit<MeshMaterial, 'generation'>;
  /** Leaf first. */
  readonly chain: readonly X509Certificate[];
  readonly bundle: TrustBundle;
}

export interface GrantProblem {
  readonly problem: string;
}

export interface Offer {
  /** PEM: the leaf, then its intermediates. */
  readonly certificates: string;
  /** PKCS #8, PEM. */
  readonly privateKey: Secret;
  readonly bundle: TrustBundle;
  readonly trustDomain: string;
  /** SPIFFE id that it has to be for; undefined: whoever the authority says. */
  readonly expectedId: string | undefined;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
}

/** Clocks of two machines may differ by this much (reference/reliability.md I19). */
const skewMs = 5 * 60_000;
/** Leaf and intermediates. */
const chainMax = 8;

export function checkOffer(offer: Offer): Grant | GrantProblem {
  const { bundle, certificates, expectedId, nowMs, privateKey, trustDomain } = offer;
  const chain = splitPem(certificates).map(readCertificate);
  const [leaf] = chain;
  if (leaf === undefined || !chain.every((each) => each !== undefined)) {
    return { problem: 'the certificate cannot be read' };
  }
  if (chain.length > chainMax) return { problem: `there are more than ${chainMax} certificates` };
  if (!leaf.checkPrivateKey(createPrivateKey(privateKey.reveal()))) {
    return { problem: 'the certificate is for another key than ours' };
  }
  const svid = readSvid(leaf.raw);
  if ('problem' in svid) return { problem: `the certificate is nobody's: ${svid.problem}` };
  if (svid.trustDomain !== trustDomain) {
    return { problem: `the certificate is for ${svid.id}; our trust domain is ${trustDomain}` };
  }
  if (expectedId !== undefined && svid.id !== expectedId) {
    return { problem: `the certificate is for ${svid.id}; we are ${expectedId}` };
  }
  const problem = timeProblem(leaf, nowMs) ?? chainProblem(chain, bundle, nowMs);
  if (problem !== undefined) return { problem };
  const material = {
    ...{ id: svid.id, trustDomain, certificates, privateKey, roots: bundle.pem },
    notAfterMs: leaf.validToDate.getTime(),
  };
  return { material, chain, bundle };
}

function timeProblem({ validFromDate, validToDate }: X509Certificate, nowMs: number) {
  if (validToDate.getTime() <= nowMs) {
    return "the certificate has ended by this machine's clock; is that right?";
  }
  if (!isTooSoon({ validFromDate }, nowMs)) return undefined;
  return "the certificate is not valid yet by this machine's clock; is that right?";
}

function isTooSoon({ validFromDate }: Pick<X509Certificate, 'validFromDate'>, nowMs: number) {
  return validFromDate.getTime() > nowMs + skewMs;
}

/**
 * Why the chain leads to no root of the bundle that is in its time, by issuers that may sign for it;
 * undefined: it does.
 */
export function chainProblem(
  chain: readonly X509Certificate[],
  bundle: TrustBundle,
  nowMs: number,
): string | undefined {
  // All of them, needed or not: we send them to everybody, whose Node.js may be ended by one.
  for (const issuer of chain.slice(1)) {
    const weak = strengthProblem(issuer, false);
    if (weak !== undefined) return `its issuer is not believed: ${weak}`;
  }
  for (const [index, certificate] of chain.entries()) {
    const signers = signersOf(certificate, bundle);
    const alive = signers.filter((root) => root.validToDate.getTime() > nowMs);
    if (alive[0] !== undefined) {
      if (isTooSoon(alive[0], nowMs)) return `its root begins on ${alive[0].validFrom}`;
      return issuingProblem(chain.slice(0, index + 1), alive[0]);
    }
    if (signers.length > 0) return `its root ended on ${signers[0]!.validTo}`;
    const issuer = chain[index + 1];
    if (issuer === undefined) break;
    if (!issuer.ca || !isSignedBy(certificate, issuer)) return 'its chain is broken';
    if (issuer.validToDate.getTime() <= nowMs) return `its issuer ended on ${issuer.validTo}`;
    if (isTooSoon(issuer, nowMs)) return `its issuer begins on ${issuer.validFrom}`;
  }
  return 'no root of the trust bundle has signed it';
}

function issuingProblem([leaf, ...issuers]: X509Certificate[], root: X509Certificate) {
  const svid = readSvid(leaf!.raw);
  return 'problem' in svid ? svid.problem : issuersProblem([...issuers, root], svid.trustDomain);
}

/** SHA-256 of the root that a good chain ends at, hex; empty when it is not in the bundle. */
export function rootHashOf({ chain, bundle }: Grant): string {
  const root = chain.flatMap((each) => signersOf(each, bundle))[0];
  return root === undefined ? '' : bundle.rootHashes[bundle.roots.indexOf(root)]!;
}

function signersOf(certificate: X509Certificate, { roots }: TrustBundle): X509Certificate[] {
  return roots.filter((root) => isSignedBy(certificate, root));
}

function isSignedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}
