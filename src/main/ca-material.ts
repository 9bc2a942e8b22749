/**
 * What the authority signs with, kept current: from its state, or from the files of an outside issuer.
 *
 * It looks again every second, by content and not by event: a rotation that somebody began, an issuer that
 * cert-manager replaced. What cannot be read changes nothing, and is said once.
 */

import { createHash, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { WallTime } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import { Secret } from '../base/secret.ts';
import {
  type AuthorityMaterial,
  createState,
  materialOf,
  printState,
  readMaterial,
  readState,
  renewIssuer,
  type StateProblem,
} from '../identity/authority-state.ts';
import { generateKeys, privateKeyPem, spkiOf } from '../identity/certificate.ts';
import { issuersProblem } from '../identity/issuer-constraints.ts';
import { misfitOf, type PairFiles } from '../identity/key-pair.ts';
import { strengthProblem } from '../identity/key-strength.ts';
import { issueLeaf } from '../identity/leaf.ts';
import { splitPem } from '../identity/serving-certificate.ts';
import { workloadId } from '../identity/spiffe-id.ts';
import { changeStored, type StateStore } from '../identity/state-store.ts';
import { readTrustBundle } from '../identity/trust-bundle.ts';
import { authorityLimits } from '../model/authority-limits.ts';
import { usualTrustDomain } from '../model/security.ts';
import type { OutsideFiles } from './ca-settings.ts';

/** PEM, of the server itself. */
export interface TlsPair {
  readonly cert: string;
  readonly key: string;
}

export interface OwnTerms {
  /** Undefined: as stored, or `cluster.local` where nothing is stored yet. */
  readonly trustDomain: string | undefined;
  readonly leafLifeMs: number;
  /** Where there is no state one is made; else its absence is a problem. */
  readonly mayCreate: boolean;
  readonly wallTime: WallTime;
  readonly random: Random;
}

/** The material of the state, which is made where there is none and that may be, and renewed where it is old. */
export async function ownMaterial(
  store: StateStore,
  { trustDomain, leafLifeMs, mayCreate, wallTime, random }: OwnTerms,
): Promise<AuthorityMaterial | StateProblem> {
  let problem: string | undefined;
  const text = await changeStored(store, 'authority', (found) => {
    problem = undefined;
    const nowMs = wallTime();
    if (found === undefined) {
      if (!mayCreate) {
        // Another root in its place would be believed by nobody who is there already.
        problem = 'the state is gone, and roots made from it are in use; bring it back';
        return undefined;
      }
      return printState(createState(trustDomain ?? usualTrustDomain, leafLifeMs, nowMs, random));
    }
    const state = readState(found);
    if ('problem' in state) {
      problem = state.problem;
      return undefined;
    }
    if (trustDomain !== undefined && trustDomain !== state.trustDomain) {
      problem = `it is of trust domain ${state.trustDomain}, not ${trustDomain}; another one needs another state`;
      return undefined;
    }
    const renewed = renewIssuer(state, nowMs, random) ?? state;
    if (renewed === state && state.leafLifeMs >= leafLifeMs) return undefined;
    return printState({ ...renewed, leafLifeMs: Math.max(state.leafLifeMs, leafLifeMs) });
  });
  if (problem !== undefined) return { problem };
  const state = readState(text ?? '');
  return 'problem' in state ? state : materialOf(state);
}

/**
 * The material of an outside authority's files, `nowMs` since the epoch. Rejects when they cannot be read.
 */
export async function outsideMaterial(
  files: OutsideFiles,
  trustDomain: string,
  nowMs: number,
): Promise<AuthorityMaterial | StateProblem> {
  const [certificate, key, roots] = await Promise.all(
    [files.certificate, files.key, files.roots].map((path) => readFile(path, 'utf8')),
  );
  const pair = { certificateFile: files.certificate, keyFile: files.key };
  const material = readOutside(certificate!, new Secret(key!), roots!, trustDomain, pair);
  const problem = 'problem' in material ? undefined : beginProblem(material, nowMs);
  return problem === undefined ? material : { problem };
}

/** The chain has to end in one of the roots, which is not sent along. */
function readOutside(
  certificate: string,
  key: Secret,
  roots: string,
  trustDomain: string,
  files: PairFiles,
): AuthorityMaterial | StateProblem {
  let chain: X509Certificate[];
  let trusted: X509Certificate[];
  try {
    [chain, trusted] = [certificate, roots].map((text) =>
      splitPem(text).map((each) => new X509Certificate(each)),
    ) as [X509Certificate[], X509Certificate[]];
  } catch {
    return { problem: 'a certificate of the issuer or of the roots cannot be read' };
  }
  const bundle = readTrustBundle(roots);
  if ('problem' in bundle) return { problem: `the roots: ${bundle.problem}` };
  const sent = chain.filter((each) => !trusted.some((root) => root.raw.equals(each.raw)));
  if (sent[0] === undefined) {
    const what = chain.length === 0 ? 'holds no certificate' : 'is a root itself';
    return { problem: `the file of the issuer ${what}; an issuer under a root is expected` };
  }
  // First of all: Node.js is not to be asked about keys that are believed by nobody.
  for (const each of sent) {
    const weak = strengthProblem(each, false);
    if (weak !== undefined) {
      return {
        problem: `the mesh would refuse its leaves: ${oneLine(each.subject)} is not believed: ${weak}`,
      };
    }
  }
  const unfit = misfitOf(sent[0], key.reveal(), files);
  if (unfit !== undefined) return { problem: unfit };
  const unlinked = sent.findIndex((each, at) => at + 1 < sent.length && !isBy(each, sent[at + 1]!));
  if (unlinked !== -1) {
    return { problem: `certificate ${unlinked + 1} of the issuer is not signed by the next one` };
  }
  const root = trusted.find((each) => isBy(sent.at(-1)!, each));
  if (root === undefined) return { problem: 'the issuer does not chain to any of the roots' };
  const problem = issuersProblem([...sent, root], trustDomain);
  if (problem !== undefined) return { problem: `the mesh would refuse its leaves: ${problem}` };
  const issuer = { certificate: sent.map((each) => each.toString()).join(''), key };
  return readMaterial({ trustDomain, roots, root: root.toString(), issuer });
}

/** What is signed before its time is believed by nobody; the next look takes what has begun by then. */
function beginProblem({ bundle, chain, rootHash }: AuthorityMaterial, nowMs: number) {
  const root = bundle.roots[bundle.rootHashes.indexOf(rootHash)];
  const issuers = splitPem(chain).map((each) => new X509Certificate(each));
  for (const each of root === undefined ? issuers : [...issuers, root]) {
    if (each.validFromDate.getTime() <= nowMs) continue;
    const begin = each.validFromDate.toISOString();
    return `${oneLine(each.subject)} begins at ${begin} by this machine's clock, and is taken then`;
  }
  return undefined;
}

function oneLine(name: string): string {
  return name.replaceAll('\n', ', ');
}

function isBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

/** A fresh leaf of the authority itself, by which sidecars know it. */
export function servingPair(
  { chain, signer, trustDomain }: AuthorityMaterial,
  namespace: string,
  nowMs: number,
  random: Random,
): TlsPair {
  const keys = generateKeys();
  const service = `tracecar-ca.${namespace}`;
  const { pem } = issueLeaf(
    signer,
    {
      id: workloadId(trustDomain, namespace, 'tracecar-ca')!,
      dnsNames: [service, `${service}.svc`, `${service}.svc.cluster.local`, 'localhost'],
      publicKey: spkiOf(keys.publicKey),
      notBeforeMs: nowMs - authorityLimits.backdateMs,
      notAfterMs: nowMs + authorityLimits.leafLifeMs,
    },
    random,
  );
  return { cert: pem + chain, key: privateKeyPem(keys.privateKey) };
}

/** Two materials with the same text sign alike. */
export function materialHash({ bundle, chain, trustDomain }: AuthorityMaterial): string {
  return createHash('sha256').update([trustDomain, bundle.hash, chain].join('\n')).digest('hex');
}
