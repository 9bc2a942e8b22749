/**
 * What an authority of our own keeps: its roots, the issuer that signs, and the phase of a rotation.
 *
 *   steady ──rotate──► spread ──rotate──► issue ──rotate──► steady
 *   [old]              [old, new]         [old, new]        [new]       trusted
 *   old signs          old signs          new signs         new signs
 *
 * Pure: a state goes in, the next one comes out, or the reasons why it may not. A phase begins only when
 * every sidecar that can still be talked to has said that it is ready for it.
 */

import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import type { Random } from '../base/random.ts';
import { Secret } from '../base/secret.ts';
import { authorityLimits } from '../model/authority-limits.ts';
import { privateKeyPem } from './certificate.ts';
import { type IssuedAuthority, issueIssuer, issueRoot, type Signer, signerOf } from './leaf.ts';
import { trustDomainProblem } from './spiffe-id.ts';
import { readTrustBundle, type TrustBundle } from './trust-bundle.ts';

export type Phase = 'steady' | 'spread' | 'issue';

export interface StoredPair {
  /** PEM. */
  readonly certificate: string;
  /** PKCS #8, PEM. */
  readonly key: Secret;
}

export interface AuthorityState {
  readonly trustDomain: string;
  readonly phase: Phase;
  /** When the phase began, milliseconds since the epoch. */
  readonly sinceMs: number;
  /** The longest leaf that was promised to anybody, milliseconds. */
  readonly leafLifeMs: number;
  /** One, or the old one and the new. */
  readonly roots: readonly StoredPair[];
  /** Under the root that signs now. */
  readonly issuer: StoredPair;
}

/** What signing takes of a state. */
export interface AuthorityMaterial {
  readonly trustDomain: string;
  readonly bundle: TrustBundle;
  readonly signer: Signer;
  /** PEM: what follows a leaf, its issuer first, without the root. */
  readonly chain: string;
  /** SHA-256 of the root that the chain ends in, hex. */
  readonly rootHash: string;
  readonly rootNotAfterMs: number;
}

export interface StateProblem {
  readonly problem: string;
}

/** A first root and issuer. */
export function createState(
  trustDomain: string,
  leafLifeMs: number,
  nowMs: number,
  random: Random,
): AuthorityState {
  const root = newRoot(trustDomain, nowMs, random);
  const issuer = newIssuer(root, trustDomain, nowMs, random);
  return { trustDomain, phase: 'steady', sinceMs: nowMs, leafLifeMs, roots: [root], issuer };
}

/** The root that signs issuers now. */
export function signingRoot({ phase, roots }: AuthorityState): StoredPair {
  return phase === 'issue' ? roots[1]! : roots[0]!;
}

/** Since when bundles have the new root as well, milliseconds since the epoch; undefined: there is none. */
export function newRootSinceMs({ roots }: AuthorityState): number | undefined {
  const [, next] = roots;
  if (next === undefined) return undefined;
  return new X509Certificate(next.certificate).validFromDate.getTime() + authorityLimits.backdateMs;
}

/** A root beside the present one: the first phase. */
export function beginSpread(state: AuthorityState, nowMs: number, random: Random): AuthorityState {
  const root = newRoot(state.trustDomain, nowMs, random);
  return { ...state, phase: 'spread', sinceMs: nowMs, roots: [state.roots[0]!, root] };
}

/** From now on the new root signs. */
export function beginIssue(state: AuthorityState, nowMs: number, random: Random): AuthorityState {
  const issuer = newIssuer(state.roots[1]!, state.trustDomain, nowMs, random);
  return { ...state, phase: 'issue', sinceMs: nowMs, issuer };
}

/** The old root is nobody's any more. */
export function endRotation(state: AuthorityState, nowMs: number): AuthorityState {
  return { ...state, phase: 'steady', sinceMs: nowMs, roots: [state.roots[1]!] };
}

/** With a fresh issuer, where the present one is old; undefined: it is good. */
export function renewIssuer(
  state: AuthorityState,
  nowMs: number,
  random: Random,
): AuthorityState | undefined {
  const { issuerLifeMs, issuerRenewShare } = authorityLimits;
  const left = endOf(state.issuer) - nowMs;
  const rootLeft = endOf(signingRoot(state)) - nowMs;
  if (left > issuerLifeMs * issuerRenewShare) return undefined;
  // Under a root that ends soon, another issuer would not live longer than this one.
  if (rootLeft <= left + authorityLimits.backdateMs) return undefined;
  const issuer = newIssuer(signingRoot(state), state.trustDomain, nowMs, random);
  return { ...state, issuer };
}

/** What signs, made ready. Gives a problem for a state whose parts do not fit each other. */
export function materialOf(state: AuthorityState): AuthorityMaterial | StateProblem {
  const root = signingRoot(state);
  return readMaterial({
    trustDomain: state.trustDomain,
    roots: state.roots.map(({ certificate }) => certificate).join(''),
    root: root.certificate,
    issuer: state.issuer,
  });
}

/** `issuer.certificate` may bring further issuers up to its root; `root`: the one that it chains to. */
export function readMaterial(parts: {
  readonly trustDomain: string;
  readonly roots: string;
  readonly root: string;
  readonly issuer: StoredPair;
}): AuthorityMaterial | StateProblem {
  const bundle = readTrustBundle(parts.roots);
  if ('problem' in bundle) return { problem: `the roots: ${bundle.problem}` };
  const root = new X509Certificate(parts.root);
  try {
    const signer = signerOf(parts.issuer.certificate, createPrivateKey(parts.issuer.key.reveal()));
    return {
      trustDomain: parts.trustDomain,
      bundle,
      signer,
      chain: parts.issuer.certificate,
      rootHash: createHash('sha256').update(root.raw).digest('hex'),
      rootNotAfterMs: root.validToDate.getTime(),
    };
  } catch (error) {
    return { problem: `the issuer: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** As it is stored, with its keys: for `StateStore` and nobody else. */
export function printState(state: AuthorityState): string {
  const pair = ({ certificate, key }: StoredPair) => ({ certificate, key: key.reveal() });
  const stored = { ...state, roots: state.roots.map(pair), issuer: pair(state.issuer) };
  return `${JSON.stringify({ version: 1, ...stored }, undefined, 2)}\n`;
}

/** What `printState` printed. The problem never quotes the text, which holds keys. */
export function readState(text: string): AuthorityState | StateProblem {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { problem: 'it is no JSON' };
  }
  const fields = (value ?? {}) as Record<string, unknown>;
  if (fields.version !== 1) return { problem: 'it is of no version that this program knows' };
  const { trustDomain, phase, sinceMs, leafLifeMs, roots, issuer } = fields;
  const readIssuer = readPair(issuer);
  const readRoots = Array.isArray(roots) ? roots.map(readPair) : [];
  const isWhole =
    typeof trustDomain === 'string' &&
    trustDomainProblem(trustDomain) === undefined &&
    (phase === 'steady' || phase === 'spread' || phase === 'issue') &&
    typeof sinceMs === 'number' &&
    typeof leafLifeMs === 'number' &&
    readRoots.length === (phase === 'steady' ? 1 : 2);
  const pairs = readRoots.filter((each) => each !== undefined);
  if (!isWhole || readIssuer === undefined || pairs.length !== readRoots.length) {
    return { problem: 'a part of it is missing or of another kind' };
  }
  return { trustDomain, phase, sinceMs, leafLifeMs, roots: pairs, issuer: readIssuer };
}

/** When a certificate ends, milliseconds since the epoch. */
export function endOf({ certificate }: StoredPair): number {
  return new X509Certificate(certificate).validToDate.getTime();
}

function readPair(value: unknown): StoredPair | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { certificate, key } = value as Record<string, unknown>;
  if (typeof certificate !== 'string' || typeof key !== 'string') return undefined;
  try {
    const isPair = new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
    return isPair ? { certificate, key: new Secret(key) } : undefined;
  } catch {
    return undefined;
  }
}

function newRoot(trustDomain: string, nowMs: number, random: Random): StoredPair {
  const { rootLifeMs, backdateMs } = authorityLimits;
  const life = { notBeforeMs: nowMs - backdateMs, notAfterMs: nowMs + rootLifeMs };
  return stored(issueRoot(nameOf('root', trustDomain, random), life, random));
}

function newIssuer(
  root: StoredPair,
  trustDomain: string,
  nowMs: number,
  random: Random,
): StoredPair {
  const signer = signerOf(root.certificate, createPrivateKey(root.key.reveal()));
  const { issuerLifeMs, backdateMs } = authorityLimits;
  const life = { notBeforeMs: nowMs - backdateMs, notAfterMs: nowMs + issuerLifeMs };
  return stored(issueIssuer(signer, nameOf('issuer', trustDomain, random), life, random));
}

/** Each has a name of its own: chains are then found by name, and have a length (RFC 5280 6.1). */
function nameOf(what: string, trustDomain: string, random: Random): string {
  const own = random.u32().toString(16).padStart(8, '0');
  return `Tracecar ${what} ${own} ${trustDomain}`.slice(0, 64);
}

function stored({ pem, keys }: IssuedAuthority): StoredPair {
  return { certificate: pem, key: new Secret(privateKeyPem(keys.privateKey)) };
}
