/**
 * The authority: from a verified caller and a request to a leaf, or to a refusal with its status.
 *
 *   caller (of a token) ──► its rate ──► request's signature ──► key not somebody else's ──► leaf
 *
 * It has no sockets, files or timers. Whose leaf it is comes from the caller alone; how long it lives from
 * the settings and the issuer. Each leaf is one audit line.
 */

import type { Clock, WallTime } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import { type AuthorityLimits, authorityLimits } from '../model/authority-limits.ts';
import type { AuthorityMaterial } from './authority-state.ts';
import { readCertificateRequest } from './csr.ts';
import { issueLeaf } from './leaf.ts';
import { RateLimit } from './rate-limit.ts';
import type { SidecarReport } from './sidecar-reports.ts';
import { workloadId } from './spiffe-id.ts';
import type { Caller } from './token.ts';

export interface AuthorityOptions {
  readonly clock: Clock;
  readonly wallTime: WallTime;
  readonly random: Random;
  /** Of each leaf; `limits.leafLifeMs` at most. */
  readonly leafLifeMs: number;
  readonly limits?: AuthorityLimits;
  /** Each leaf that was signed: for the audit log. */
  readonly onLeaf: (leaf: AuditedLeaf) => void;
  /** Resolves when the report is safe: nobody is to have the leaf before. */
  readonly onReport: (report: SidecarReport) => Promise<void>;
}

/** What a sidecar sends. */
export interface SignBody {
  /** PEM. */
  readonly csr: string;
  /** Hex, of the trust bundle that the sidecar has; empty when it has none. */
  readonly bundleHash: string;
  readonly instance: string;
}

export interface Signed {
  /** PEM: the leaf, its issuers. */
  readonly certificates: string;
  /** PEM: the roots to trust from now on. */
  readonly bundle: string;
  readonly notAfterMs: number;
  /** The answer waits for it: until then the list of sidecars may not know of this one. */
  readonly reported: Promise<void>;
}

export interface Refused {
  readonly status: 400 | 403 | 429 | 503;
  /** One word, for the answer, the log and the metric. */
  readonly cause: string;
  readonly message: string;
  readonly retryAfterMs?: number;
}

/** One line of the audit log: enough to find who had which key. */
export interface AuditedLeaf {
  readonly id: string;
  /** `pod shop/web-1 UID`, `token 3f2a...`. */
  readonly who: string;
  readonly instance: string;
  readonly address: string;
  /** Hex. */
  readonly serial: string;
  /** SHA-256 of the public key, hex. */
  readonly keyHash: string;
  readonly notAfterMs: number;
}

export class Authority {
  readonly #options: AuthorityOptions;
  readonly #limits: AuthorityLimits;
  readonly #pods: RateLimit;
  readonly #tokens: RateLimit;
  /** By the hash of a public key, who had it certified; least recent first. */
  readonly #owners = new Map<string, string>();
  #material: AuthorityMaterial | undefined;

  constructor(options: AuthorityOptions) {
    this.#options = options;
    this.#limits = options.limits ?? authorityLimits;
    const { callersMax, ...limits } = this.#limits;
    const pod = { burst: limits.callerBurst, perSecond: limits.callerPerMinute / 60 };
    const token = { burst: limits.tokenBurst, perSecond: limits.tokenPerMinute / 60 };
    this.#pods = new RateLimit(pod, callersMax);
    this.#tokens = new RateLimit(token, callersMax);
  }

  /** What it signs with now; undefined until there is something. */
  get material(): AuthorityMaterial | undefined {
    return this.#material;
  }

  /** Signs with `material` from now on. */
  use(material: AuthorityMaterial): void {
    this.#material = material;
  }

  /** Milliseconds until this caller may ask; 0: it may, and that counts. */
  admit(caller: Caller): number {
    const limit = caller.isShared ? this.#tokens : this.#pods;
    return limit.take(caller.limitKey, this.#options.clock.now());
  }

  /** Signs what an admitted caller asks for. @param address of the TCP peer, for the audit line */
  sign(caller: Caller, body: SignBody, address: string): Signed | Refused {
    const nowMs = this.#options.wallTime();
    const material = this.#material;
    const idle = this.#idleReason(material, nowMs);
    if (idle !== undefined || material === undefined) return idle ?? noMaterial;
    const { namespace, serviceAccount } = caller;
    const id = workloadId(material.trustDomain, namespace, serviceAccount);
    if (id === undefined) {
      const name = JSON.stringify(`${namespace}/${serviceAccount}`);
      return refusal(403, 'name-unfit', `${name} can be in no SPIFFE id`);
    }
    const request = readCertificateRequest(body.csr);
    if ('problem' in request) return refusal(400, 'csr', `the request: ${request.problem}`);
    const owner = `${id} ${caller.isShared ? '' : caller.limitKey}`;
    if (!this.#own(request.keyHash, owner)) {
      const message = 'this key was certified for another one; a key is made afresh for each leaf';
      return refusal(403, 'key-reused', message);
    }
    const leaf = issueLeaf(
      material.signer,
      {
        id,
        publicKey: request.publicKey,
        notBeforeMs: nowMs - this.#limits.backdateMs,
        notAfterMs: nowMs + Math.min(this.#options.leafLifeMs, this.#limits.leafLifeMs),
      },
      this.#options.random,
    );
    const { notAfterMs, serial } = leaf;
    const { instance, bundleHash } = body;
    const { who } = caller;
    const { keyHash } = request;
    this.#options.onLeaf({ id, who, instance, address, serial, keyHash, notAfterMs });
    const { rootHash } = material;
    const report = { id, instance, bundleHash, rootHash, issuedMs: nowMs, notAfterMs };
    return {
      certificates: leaf.pem + material.chain,
      bundle: material.bundle.pem,
      notAfterMs,
      reported: this.#options.onReport(report),
    };
  }

  /** Why nothing can be signed for anybody. */
  #idleReason(material: AuthorityMaterial | undefined, nowMs: number): Refused | undefined {
    if (material === undefined) return noMaterial;
    const end = (ms: number) => new Date(ms).toISOString();
    if (nowMs >= material.rootNotAfterMs) {
      return refusal(503, 'root-expired', `the root ended at ${end(material.rootNotAfterMs)}`);
    }
    const { notAfterMs } = material.signer;
    // Leaves of seconds, of tests, do not need an hour of it.
    const needed = Math.min(this.#limits.issuerLeftMinMs, this.#options.leafLifeMs);
    if (notAfterMs - nowMs >= needed) return undefined;
    return refusal(503, 'issuer-expired', `the issuer's time ends at ${end(notAfterMs)}`);
  }

  /** Whether the key is free, or the owner's already. */
  #own(keyHash: string, owner: string): boolean {
    const held = this.#owners.get(keyHash);
    if (held !== undefined && held !== owner) return false;
    this.#owners.delete(keyHash);
    this.#owners.set(keyHash, owner);
    if (this.#owners.size > this.#limits.keysMax) {
      this.#owners.delete(this.#owners.keys().next().value!);
    }
    return true;
  }
}

const noMaterial = refusal(503, 'no-issuer', 'the authority has no issuer to sign with yet');

function refusal(status: Refused['status'], cause: string, message: string): Refused {
  return { status, cause, message };
}
