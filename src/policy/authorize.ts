/**
 * Authorise: who may call a workload, by the policies that select it. Pure: what is known of a call in,
 * a verdict with its policy out.
 *
 *   a DENY policy holds? ── denied by it
 *   there are ALLOW policies, and none holds? ── denied: nobody lets it in
 *   else allowed
 *
 * Beside that: an AUDIT policy that holds, and what would be denied if the policies in a dry run were in
 * force. A policy that cannot be evaluated is one that denies everything.
 */

import type { AuthorizationPlan, AuthorizationPolicy, ValueMatch } from '../model/security.ts';
import type { Caller } from './caller.ts';
import type { AuthorizedRequest, CompiledPolicy } from './compiled-rule.ts';
import { RuleSet } from './rule-set.ts';

/** What came of one call; reused. */
export class AuthorizationVerdict {
  /** Denies it; where none of several lets it in the first of these. */
  denying: AuthorizationPolicy | undefined = undefined;
  /** Nothing denies it, but there are ALLOW policies and no rule of theirs holds. */
  isForLack = false;
  /** In a dry run, would have denied it. */
  wouldDeny: AuthorizationPolicy | undefined = undefined;
  /** Asks that it is marked. */
  audits: AuthorizationPolicy | undefined = undefined;

  clear(): void {
    this.denying = undefined;
    this.isForLack = false;
    this.wouldDeny = undefined;
    this.audits = undefined;
  }
}

export class Authorizer {
  readonly plan: AuthorizationPlan;
  /** There is no policy: everybody may call, and nothing is marked. */
  readonly isOpen: boolean;
  /** Some rule is about requests. */
  readonly looksAtRequests: boolean;
  /** Fields that rules are about, in lower case. */
  readonly headerNames: ReadonlySet<string>;
  /** Some rule is about who a caller has proved to be. */
  readonly looksAtIdentities: boolean;
  /** Some rule is about the name in a ClientHello. */
  readonly looksAtServerNames: boolean;
  readonly #deny: RuleSet;
  readonly #denyTried: RuleSet;
  readonly #allow: RuleSet;
  readonly #allowTried: RuleSet;
  readonly #audit: RuleSet;
  readonly #firstAllow: AuthorizationPolicy | undefined;
  readonly #firstAllowTried: AuthorizationPolicy | undefined;

  constructor(plan: AuthorizationPlan) {
    const { audit } = plan;
    // One that cannot be evaluated lets nobody in, wherever it stands.
    const deny = [...plan.deny, ...plan.allow.filter((each) => each.isUnsupported)];
    const allow = plan.allow.filter((each) => !each.isUnsupported);
    const inForce = (list: readonly AuthorizationPolicy[]) => list.filter((each) => !each.isDryRun);
    const tried = (list: readonly AuthorizationPolicy[]) => list.filter((each) => each.isDryRun);
    const all = [...deny, ...allow, ...audit];
    this.plan = plan;
    this.isOpen = all.length === 0;
    this.looksAtRequests = all.some(isAboutRequests);
    this.headerNames = new Set(all.flatMap(headersOf));
    this.looksAtIdentities = all.some(isAboutIdentities);
    this.looksAtServerNames = all.some(({ rules }) =>
      rules.some(({ when }) => when.some(({ on }) => on === 'server-name')),
    );
    this.#deny = setOf(inForce(deny), true);
    this.#denyTried = setOf(tried(deny), true);
    this.#allow = setOf(inForce(allow), false);
    this.#allowTried = setOf(tried(allow), false);
    this.#audit = setOf(audit, true);
    this.#firstAllow = inForce(allow)[0];
    this.#firstAllowTried = tried(allow)[0];
  }

  /**
   * Whether the call may go on; `out` says by whom it was decided.
   *
   * @param request undefined: a connection that is relayed unread
   */
  authorize(
    caller: Caller,
    request: AuthorizedRequest | undefined,
    out: AuthorizationVerdict,
  ): boolean {
    out.clear();
    if (!this.#audit.isEmpty) out.audits = this.#audit.find(caller, request)?.policy;
    if (!this.#denyTried.isEmpty) out.wouldDeny = this.#denyTried.find(caller, request)?.policy;
    if (!this.#deny.isEmpty) {
      out.denying = this.#deny.find(caller, request)?.policy;
      if (out.denying !== undefined) return false;
    }
    if (!this.#allow.isEmpty) {
      if (this.#allow.find(caller, request) !== undefined) return true;
      out.denying = this.#firstAllow;
      out.isForLack = true;
      return false;
    }
    if (!this.#allowTried.isEmpty && out.wouldDeny === undefined) {
      const isLetIn = this.#allowTried.find(caller, request) !== undefined;
      if (!isLetIn) out.wouldDeny = this.#firstAllowTried;
    }
    return true;
  }
}

/** Like `true` to every call. */
const everything = Object.freeze({ from: [], to: [], when: [] });

function setOf(policies: readonly AuthorizationPolicy[], isWide: boolean): RuleSet {
  const compiled: CompiledPolicy[] = policies.map((policy, rank) => ({
    policy: policy.isUnsupported ? { ...policy, rules: [everything] } : policy,
    rank,
    isWide,
  }));
  return new RuleSet(compiled);
}

const ofIdentities: ReadonlySet<string> = new Set(['principal', 'namespace', 'service-account']);

function isAboutIdentities({ rules }: AuthorizationPolicy): boolean {
  return rules.some(
    ({ from, when }) =>
      when.some(({ on }) => ofIdentities.has(on)) ||
      from.some(({ principals, namespaces, serviceAccounts, trustDomains }) =>
        [principals, namespaces, serviceAccounts, trustDomains].some(isAsked),
      ),
  );
}

function isAsked({ values, notValues }: ValueMatch<unknown>): boolean {
  return values.length + notValues.length > 0;
}

function isAboutRequests({ rules }: AuthorizationPolicy): boolean {
  return rules.some(
    ({ to, when }) =>
      when.some(({ on }) => on === 'header') ||
      to.some(({ hosts, methods, paths }) => [hosts, methods, paths].some(isAsked)),
  );
}

function headersOf({ rules }: AuthorizationPolicy): readonly string[] {
  const conditions = rules.flatMap(({ when }) => when);
  return conditions.flatMap((each) => (each.on === 'header' ? [each.name] : []));
}
