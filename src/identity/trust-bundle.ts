/**
 * Whom a workload believes: the roots of its trust domain, as a set.
 *
 * Order, repetition and what stands between the certificates do not count: two texts with the same
 * roots are the same bundle and have the same hash, which is how an authority learns who has which.
 */

import { createHash, X509Certificate } from 'node:crypto';
import { agentLimits } from '../model/agent-limits.ts';
import { strengthProblem } from './key-strength.ts';
import { splitPem } from './serving-certificate.ts';

export interface TrustBundle {
  /** PEM, in the order of their hashes, each once. */
  readonly pem: string;
  readonly roots: readonly X509Certificate[];
  /** SHA-256 of each root's DER, hex, sorted. */
  readonly rootHashes: readonly string[];
  /** SHA-256 over `rootHashes`, one a line; hex. */
  readonly hash: string;
}

export interface BundleProblem {
  readonly problem: string;
}

/** Reads a PEM text. Nothing that can be read only in part is taken, and nothing that trusts nobody. */
export function readTrustBundle(text: string): TrustBundle | BundleProblem {
  const blocks = splitPem(text);
  if (blocks.length === 0) return { problem: 'it holds no certificate' };
  if (blocks.length !== text.split('-----BEGIN CERTIFICATE-----').length - 1) {
    return { problem: 'it holds a certificate that ends too early' };
  }
  const byHash = new Map<string, X509Certificate>();
  for (const block of blocks) {
    const certificate = readCertificate(block);
    if (certificate === undefined) return { problem: 'it holds a certificate that cannot be read' };
    if (!certificate.ca) return { problem: 'it holds a certificate that is no authority' };
    // Before anything is proved by it; of some keys Node.js would end (peer-certificate.ts).
    const weak = strengthProblem(certificate, true);
    if (weak !== undefined) return { problem: `it holds a root that is not believed: ${weak}` };
    byHash.set(createHash('sha256').update(certificate.raw).digest('hex'), certificate);
  }
  const { rootsMax } = agentLimits;
  if (byHash.size > rootsMax) return { problem: `it holds more than ${rootsMax} roots` };
  const rootHashes = [...byHash.keys()].sort();
  const roots = rootHashes.map((hash) => byHash.get(hash)!);
  return {
    pem: roots.map((each) => each.toString()).join(''),
    roots,
    rootHashes,
    hash: createHash('sha256').update(rootHashes.join('\n')).digest('hex'),
  };
}

/** Undefined where the text is no certificate. */
export function readCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}
