/**
 * An authority without a socket, for tests of the agent: it signs what is asked at the test's own time.
 */

import { createPublicKey } from 'node:crypto';
import { seededRandom, systemRandom } from '../../src/base/random.ts';
import { Secret } from '../../src/base/secret.ts';
import { type AgentCounts, IdentityAgent } from '../../src/identity/agent.ts';
import type { CallProblem, SignAnswer, SignRequest } from '../../src/identity/authority-call.ts';
import { generateKeys, spkiOf } from '../../src/identity/certificate.ts';
import { readCertificateRequest } from '../../src/identity/csr.ts';
import type { IdentityStore } from '../../src/identity/identity-store.ts';
import { issueLeaf, issueRoot, type Signer, signerOf } from '../../src/identity/leaf.ts';
import { MeshIdentity } from '../../src/identity/mesh-identity.ts';
import { readTrustBundle, type TrustBundle } from '../../src/identity/trust-bundle.ts';
import { agentLimits } from '../../src/model/agent-limits.ts';
import { ManualTime } from '../support/manual-time.ts';

export const hourMs = 3_600_000;
export const lifeMs = 24 * hourMs;

export interface Root {
  readonly pem: string;
  readonly signer: Signer;
}

/** Good at the time of the tests. */
export function makeRoot(): Root {
  const epochMs = new ManualTime().clock.epochMs;
  const life = { notBeforeMs: epochMs - lifeMs, notAfterMs: epochMs + 365 * lifeMs };
  const { pem, keys } = issueRoot('Tracecar test root', life, systemRandom);
  return { pem, signer: signerOf(pem, keys.privateKey) };
}

export class ScriptedAuthority {
  readonly time: ManualTime;
  root: Root;
  /** What it wants to be trusted. */
  bundle: string;
  id = 'spiffe://cluster.local/ns/default/sa/web';
  lifeMs = lifeMs;
  /** Certificates for a key that nobody asked for. */
  isForOtherKey = false;
  /** Instead of an answer. */
  problem: CallProblem | undefined;
  readonly requests: SignRequest[] = [];
  /** When they came, milliseconds since the epoch. */
  readonly times: number[] = [];

  constructor(time: ManualTime, root: Root) {
    this.time = time;
    this.root = root;
    this.bundle = root.pem;
  }

  get nowMs(): number {
    return this.time.clock.epochMs + this.time.clock.now();
  }

  readonly call = async (request: SignRequest): Promise<SignAnswer | CallProblem> => {
    this.requests.push(request);
    this.times.push(this.nowMs);
    if (this.problem !== undefined) return this.problem;
    if (!request.roots.includes(this.root.pem.trim())) {
      return { problem: 'the handshake failed', retryAfterMs: 0 };
    }
    const asked = readCertificateRequest(request.csr);
    if ('problem' in asked) return { problem: asked.problem, retryAfterMs: 0 };
    const publicKey = this.isForOtherKey ? spkiOf(generateKeys().publicKey) : asked.publicKey;
    const life = { notBeforeMs: this.nowMs - 60_000, notAfterMs: this.nowMs + this.lifeMs };
    const leaf = issueLeaf(this.root.signer, { id: this.id, publicKey, ...life }, systemRandom);
    return { certificates: leaf.pem, bundle: this.bundle };
  };
}

export interface AgentUnderTest {
  readonly agent: IdentityAgent;
  readonly mesh: MeshIdentity;
  readonly counts: AgentCounts;
  /** `level: text`, in order. */
  readonly lines: string[];
}

export interface AgentChoices {
  readonly store?: IdentityStore;
  readonly expectedId?: string;
  readonly seed?: number;
}

/** An agent of `authority`, which has not asked yet. */
export function makeAgent(
  authority: ScriptedAuthority,
  choices: AgentChoices = {},
): AgentUnderTest {
  const mesh = new MeshIdentity();
  const lines: string[] = [];
  const agent = new IdentityAgent({
    ...{ mesh, wallTime: () => authority.nowMs, wakeUps: authority.time, call: authority.call },
    ...{ random: seededRandom(choices.seed ?? 1), limits: agentLimits, instance: () => 'pod-1' },
    ...{ trustDomain: 'cluster.local', expectedId: choices.expectedId, store: choices.store },
    log: (level, text) => lines.push(`${level}: ${text}`),
    readToken: async () => new Secret('token-of-web'),
    onChange: () => {},
  });
  return { agent, mesh, counts: agent.counts, lines };
}

export function bundleOf(...pems: readonly string[]): TrustBundle {
  const bundle = readTrustBundle(pems.join('\n'));
  if ('problem' in bundle) throw new Error(bundle.problem);
  return bundle;
}

/** The public key of a request or a certificate, to tell keys apart. */
export function keyOfRequest(csr: string): string {
  const asked = readCertificateRequest(csr);
  if ('problem' in asked) throw new Error(asked.problem);
  const key = createPublicKey({ key: asked.publicKey, format: 'der', type: 'spki' });
  return key.export({ type: 'spki', format: 'pem' }).toString();
}
