/**
 * Gets a sidecar its certificates and keeps them good: asks, renews, follows the roots.
 *
 *   kept or configured bundle ──► ask ──► checked ──► MeshIdentity ──► at 45 % of its life ask again
 *                                  └─ failed: what is in use stays, pause, ask again; never gives up
 *
 * A key is made for each certificate and never sent. At the end of a leaf nothing takes its place:
 * whoever uses it fails. A bundle of which our own leaf is no part is taken together with a leaf that is.
 */

import type { WallTime } from '../base/clock.ts';
import type { WakeUps } from '../base/deadlines.ts';
import type { Random } from '../base/random.ts';
import { Secret } from '../base/secret.ts';
import type { AgentLimits } from '../model/agent-limits.ts';
import { pauseMs, renewalMs, reportInMs } from './agent-schedule.ts';
import type { CallProblem, SignCall } from './authority-call.ts';
import { generateKeys, privateKeyPem } from './certificate.ts';
import { writeCertificateRequest } from './csr.ts';
import { chainProblem, checkOffer, type Grant, rootHashOf } from './granted-leaf.ts';
import type { IdentityStore, StoredIdentity, StoreProblem } from './identity-store.ts';
import type { MeshIdentity } from './mesh-identity.ts';
import { type BundleProblem, readTrustBundle, type TrustBundle } from './trust-bundle.ts';

type AgentLog = (
  level: 'info' | 'warn' | 'error',
  text: string,
  fields?: Readonly<Record<string, unknown>>,
) => void;

export interface AgentOptions {
  readonly mesh: MeshIdentity;
  readonly wallTime: WallTime;
  readonly wakeUps: WakeUps;
  readonly random: Random;
  readonly limits: AgentLimits;
  readonly log: AgentLog;
  readonly call: SignCall;
  /** Read for each call: tokens are short-lived. */
  readonly readToken: () => Promise<Secret | { readonly problem: string }>;
  readonly trustDomain: string;
  /** SPIFFE id that we have to get; undefined: the first one that we do get, from then on. */
  readonly expectedId: string | undefined;
  /** This sidecar's name among those of its id; see SignRequest. */
  readonly instance: () => string;
  /** Where the identity is kept from start to start; undefined: nowhere. */
  readonly store: IdentityStore | undefined;
  /** After each attempt and change: who shows our state may look again. */
  readonly onChange: () => void;
}

/** Since start. */
export interface AgentCounts {
  granted: number;
  failed: number;
}

export class IdentityAgent {
  readonly counts: AgentCounts = { granted: 0, failed: 0 };
  readonly #options: AgentOptions;
  #grant: Grant | undefined;
  /** Who is believed: roots of the grant, or of the configuration as long as there is none. */
  #bundle: TrustBundle | undefined;
  /** Configured meanwhile, and not by itself to be used: it does not vouch for our own leaf. */
  #wanted: TrustBundle | undefined;
  /** Of the configured bundle that is asked with as long as there is no grant, or with its newer roots. */
  #configuredHash = '';
  /** Of the last configured bundle that was taken, which is never one that still waits. */
  #takenHash = '';
  /** When the certificate in use is to be renewed, milliseconds since the epoch; 0: at once. */
  #renewAtMs = 0;
  #failures = 0;
  #problem = '';
  /** 1: the end of the leaf has been said to be near, 2: to be over. */
  #alarms = 0;
  /** Who we are by the authority's word. */
  #id: string | undefined;
  #isAsking = false;
  /** Something has changed while an answer was awaited. */
  #isDue = false;
  #isClosed = false;
  #callOff: (() => void) | undefined;

  constructor(options: AgentOptions) {
    this.#options = options;
  }

  /** Why there is no certificate; empty when there is one, be it over. */
  get whyNone(): string {
    if (this.#grant !== undefined) return '';
    return `no certificate yet: ${this.#problem === '' ? 'the authority has not answered' : this.#problem}`;
  }

  /** Of the last attempt; empty when it went well. */
  get problem(): string {
    return this.#problem;
  }

  get bundle(): TrustBundle | undefined {
    return this.#bundle;
  }

  /** SHA-256 of the root under which our certificate is, hex; empty without one. */
  get ownRoot(): string {
    return this.#grant === undefined ? '' : rootHashOf(this.#grant);
  }

  /**
   * The bundle of the configuration, at start and whenever it has changed. The first one begins the work;
   * resolves when what follows from it has been done, with or without success.
   */
  async takeBundle(bundle: TrustBundle): Promise<void> {
    const isFirst = this.#bundle === undefined;
    const kept = isFirst ? this.#takeStored(bundle) : undefined;
    if (this.#grant === undefined) {
      this.#bundle = kept ?? bundle;
      this.#configuredHash = bundle.hash;
      // What is being asked was asked under the one before, and may be granted.
      if (this.#isAsking) this.#wanted = bundle;
      return this.#ask();
    }
    if (isFirst) return;
    this.#wanted = undefined;
    if (bundle.hash === this.#bundle?.hash) {
      const isNews = bundle.hash !== this.#takenHash;
      this.#takenHash = bundle.hash;
      if (isNews) this.#keep(this.#grant);
      return;
    }
    const problem = chainProblem(this.#grant.chain, bundle, this.#options.wallTime());
    if (problem === undefined) {
      this.#takenHash = bundle.hash;
      this.#use({
        ...this.#grant,
        bundle,
        material: { ...this.#grant.material, roots: bundle.pem },
      });
      this.#keep(this.#grant);
      this.#options.log('info', 'the trust bundle was read again', { roots: bundle.rootHashes });
      this.#askIn(reportInMs(this.#life(this.#grant), this.#options.random, this.#options.limits));
      return;
    }
    this.#wanted = bundle;
    this.#options.log(
      'warn',
      `the new trust bundle does not know our certificate (${problem}): it is taken with the next one`,
    );
    return this.#ask();
  }

  close(): void {
    this.#isClosed = true;
    this.#callOff?.();
  }

  /**
   * Uses what an earlier process left; then no authority has to be there now. Where only its roots can be
   * used (the certificate has ended) it gives them.
   */
  #takeStored(configured: TrustBundle): TrustBundle | undefined {
    const { log, store } = this.#options;
    const stored = store?.read();
    if (stored === undefined) return undefined;
    const isAsThen = 'problem' in stored || stored.configuredHash === configured.hash;
    const bundle = 'problem' in stored ? stored : rootsOf(stored, isAsThen, configured);
    const grant = this.#checkStored(stored, bundle);
    if ('problem' in grant) {
      const since = isAsThen ? '' : 'the trust bundle of the configuration has changed since, and ';
      const roots = isAsThen && 'roots' in bundle ? bundle : undefined;
      const but = roots === undefined ? '' : '; its roots are';
      log('warn', `the kept identity is not used: ${since}${grant.problem}${but}`);
      return roots;
    }
    this.#takenHash = configured.hash;
    this.#use(grant);
    log('info', 'identity taken from where it was kept', factsOf(grant));
    const { random, limits } = this.#options;
    const life = this.#life(grant);
    this.#renewAtMs = renewalMs(life, random, limits);
    const leftMs = this.#renewAtMs - this.#options.wallTime();
    if (!isAsThen) this.#keep(grant);
    this.#askIn(isAsThen ? leftMs : Math.min(leftMs, reportInMs(life, random, limits)));
    return undefined;
  }

  #checkStored(stored: StoredIdentity | StoreProblem, bundle: TrustBundle | BundleProblem) {
    if ('problem' in stored) return stored;
    if ('problem' in bundle) return bundle;
    return this.#check(stored.certificates, stored.privateKey, bundle);
  }

  /** One attempt at a time; what comes meanwhile leads to one more. */
  async #ask(): Promise<void> {
    if (this.#isAsking || this.#isClosed) {
      this.#isDue = true;
      return;
    }
    this.#isAsking = true;
    this.#callOff?.();
    const result = await this.#attempt();
    this.#isAsking = false;
    if (this.#isClosed) return;
    if ('material' in result) this.#takeGrant(result);
    else this.#takeFailure(result);
    this.#options.onChange();
    if (!this.#isDue) return;
    this.#isDue = false;
    await this.#ask();
  }

  /** A bundle that was configured wrongly keeps nobody from the renewal that is due. */
  async #attempt(): Promise<Grant | CallProblem> {
    const wanted = this.#wanted;
    if (wanted !== undefined) {
      const result = await this.#sign(wanted);
      if ('material' in result) {
        if (this.#wanted !== wanted) return result;
        this.#takenHash = wanted.hash;
        this.#wanted = undefined;
        return result;
      }
      if (this.#options.wallTime() < this.#renewAtMs) return result;
    }
    const configuredHash = this.#configuredHash;
    const result = await this.#sign(this.#bundle!);
    if (this.#grant === undefined && 'material' in result) this.#takenHash = configuredHash;
    return result;
  }

  /** Asks whoever is an authority under `trusted`. */
  async #sign(trusted: TrustBundle): Promise<Grant | CallProblem> {
    const { call, instance, readToken } = this.#options;
    const token = await readToken();
    if ('problem' in token) return { problem: token.problem, retryAfterMs: 0 };
    const keys = generateKeys();
    const answer = await call({
      roots: trusted.pem,
      token,
      csr: writeCertificateRequest(keys),
      bundleHash: this.#bundle!.hash,
      instance: instance(),
    });
    if ('problem' in answer) return answer;
    const bundle = readTrustBundle(answer.bundle);
    const privateKey = new Secret(privateKeyPem(keys.privateKey));
    const grant =
      'problem' in bundle ? bundle : this.#check(answer.certificates, privateKey, bundle);
    if ('material' in grant) return grant;
    return { problem: `the authority's answer is refused: ${grant.problem}`, retryAfterMs: 0 };
  }

  #check(certificates: string, privateKey: Secret, bundle: TrustBundle) {
    const { expectedId, trustDomain } = this.#options;
    return checkOffer({
      ...{ certificates, privateKey, bundle, trustDomain, nowMs: this.#options.wallTime() },
      expectedId: expectedId ?? this.#id,
    });
  }

  #takeGrant(grant: Grant): void {
    const { limits, log, random } = this.#options;
    const before = this.#bundle!.hash;
    this.counts.granted += 1;
    this.#failures = 0;
    this.#problem = '';
    this.#alarms = 0;
    this.#id = grant.material.id;
    if (this.#wanted?.hash === grant.bundle.hash) {
      this.#takenHash = this.#wanted.hash;
      this.#wanted = undefined;
    }
    this.#use(grant);
    log('info', 'certificate taken', factsOf(grant));
    this.#keep(grant);
    const life = this.#life(grant, this.#options.wallTime());
    this.#renewAtMs = renewalMs(life, random, limits);
    const leftMs = this.#renewAtMs - this.#options.wallTime();
    // What it was asked with is what the authority knows of us.
    const hasNews = grant.bundle.hash !== before;
    const isWaiting = this.#wanted !== undefined;
    const soonMs = isWaiting ? limits.backoffMaxMs : reportInMs(life, random, limits);
    this.#askIn(hasNews || isWaiting ? Math.min(leftMs, soonMs) : leftMs);
  }

  #takeFailure({ problem, retryAfterMs }: CallProblem): void {
    const { limits, log, random } = this.#options;
    this.counts.failed += 1;
    this.#failures += 1;
    const leftMs = this.#leftMs();
    if (this.#grant === undefined) this.#wanted = undefined;
    if (problem !== this.#problem) {
      const isFirst = this.#grant === undefined;
      log(isFirst ? 'error' : 'warn', `no ${isFirst ? '' : 'new '}certificate: ${problem}`);
    }
    this.#problem = problem;
    this.#alarm(leftMs);
    this.#askIn(pauseMs({ count: this.#failures, leftMs, retryAfterMs }, random, limits));
  }

  /** Once for each leaf that nears its end, and once for one that is over. */
  #alarm(leftMs: number | undefined): void {
    const { limits, log } = this.#options;
    if (leftMs === undefined) return;
    const { fromMs, toMs } = this.#life(this.#grant!);
    const alarms = leftMs <= 0 ? 2 : leftMs < (toMs - fromMs) * limits.alarmShare ? 1 : 0;
    if (alarms <= this.#alarms) return;
    this.#alarms = alarms;
    const when = leftMs <= 0 ? 'has ended' : `ends in ${Math.round(leftMs / 1000)} s`;
    log(
      'error',
      `the certificate ${when}, and then nobody of the mesh is reached: ${this.#problem}`,
    );
  }

  #use(grant: Grant): void {
    this.#grant = grant;
    this.#bundle = grant.bundle;
    this.#options.mesh.replace(grant.material);
    this.#options.onChange();
  }

  #keep({ material }: Grant): void {
    const { store, log } = this.#options;
    const { certificates, privateKey, roots } = material;
    const kept = { certificates, privateKey, roots, configuredHash: this.#takenHash };
    const failed = store?.write(kept);
    if (failed !== undefined) log('warn', `the identity is not kept: ${failed.problem}`);
  }

  #life({ chain }: Grant, takenMs?: number) {
    const { validFromDate, validToDate } = chain[0]!;
    return { fromMs: takenMs ?? validFromDate.getTime(), toMs: validToDate.getTime() };
  }

  #leftMs(): number | undefined {
    return this.#grant && this.#grant.material.notAfterMs - this.#options.wallTime();
  }

  #askIn(ms: number): void {
    this.#callOff?.();
    if (!this.#isClosed) this.#callOff = this.#options.wakeUps.after(ms, () => void this.#ask());
  }
}

/** Roots that the authority told of count as long as the configuration says what it said then. */
function rootsOf({ roots }: StoredIdentity, isAsThen: boolean, configured: TrustBundle) {
  return isAsThen ? readTrustBundle(roots) : configured;
}

function factsOf({ material, bundle }: Grant) {
  const notAfter = new Date(material.notAfterMs).toISOString();
  return { id: material.id, notAfter, roots: bundle.rootHashes.map((each) => each.slice(0, 16)) };
}
