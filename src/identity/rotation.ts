/**
 * Whether the next phase of a root rotation may begin, and what it makes of the state.
 *
 *   steady ► spread   always: one more root is trusted
 *   spread ► issue    every live sidecar has the bundle of both roots
 *   issue ► steady    every live sidecar has a leaf of the new root, and one leaf life has passed
 *
 * Pure. A refusal names every sidecar that is not ready; nothing is done by force, but a sidecar can be
 * said to be gone, by its name.
 */

import type { Random } from '../base/random.ts';
import {
  type AuthorityMaterial,
  type AuthorityState,
  beginIssue,
  beginSpread,
  endRotation,
  materialOf,
  type StateProblem,
} from './authority-state.ts';
import type { SidecarList, SidecarReport } from './sidecar-reports.ts';

export interface NextPhase {
  readonly state: AuthorityState;
  /** What holds now, for a person. */
  readonly says: string;
}

export interface NotYet {
  /** One line each: `spiffe://... (web-1) does not trust the new root yet`. */
  readonly missing: readonly string[];
  /** What to do, for a person. */
  readonly advice: string;
}

export interface RotationFacts {
  readonly state: AuthorityState;
  readonly list: SidecarList;
  /** Names of sidecars that will not come back; an id is all those of it. */
  readonly gone: readonly string[];
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
}

/** The next phase, or why not yet. */
export function rotate(facts: RotationFacts, random: Random): NextPhase | NotYet | StateProblem {
  const { nowMs, state } = facts;
  if (state.phase === 'steady') {
    const next = beginSpread(state, nowMs, random);
    return { state: next, says: 'phase 1 of 3: both roots are trusted, the old one signs' };
  }
  const material = materialOf(state);
  if ('problem' in material) return material;
  if (facts.list.overfullUntilMs > nowMs) {
    const until = new Date(facts.list.overfullUntilMs).toISOString();
    const missing = [
      `there may be sidecars that are not in the list, which was full, until ${until}`,
    ];
    return { missing, advice: 'wait until then' };
  }
  const missing = unready(facts, material);
  if (missing.length > 0) return { missing, advice: adviceOf(state) };
  if (state.phase === 'spread') {
    const next = beginIssue(state, nowMs, random);
    return { state: next, says: 'phase 2 of 3: both roots are trusted, the new one signs' };
  }
  return { state: endRotation(state, nowMs), says: 'phase 3 of 3: the old root is out' };
}

/** Why the next phase may not begin, one line a reason; empty: it may. */
export function unready(facts: RotationFacts, material: AuthorityMaterial): readonly string[] {
  const { gone, list, nowMs, state } = facts;
  if (state.phase === 'steady') return [];
  const live = list.sidecars.filter(
    ({ id, instance, notAfterMs }) =>
      notAfterMs > nowMs && !gone.includes(instance) && !gone.includes(id),
  );
  const missing = live.flatMap((each) => {
    const why = whyUnready(each, state, material);
    return why === undefined ? [] : [`${each.id} (${each.instance}) ${why}`];
  });
  if (state.phase === 'spread') return missing;
  const readyMs = state.sinceMs + state.leafLifeMs;
  if (nowMs >= readyMs) return missing;
  const end = new Date(readyMs).toISOString();
  return [...missing, `a certificate of the old root may be good until ${end}`];
}

function whyUnready(
  { bundleHash, rootHash }: SidecarReport,
  { phase }: AuthorityState,
  material: AuthorityMaterial,
): string | undefined {
  if (bundleHash !== material.bundle.hash) return 'has not reported that it trusts the new root';
  if (phase === 'issue' && rootHash !== material.rootHash) return 'has a leaf of the old root';
  return undefined;
}

function adviceOf({ leafLifeMs }: AuthorityState): string {
  // A leaf is renewed at half of its life at the latest.
  const minutes = Math.ceil(leafLifeMs / 2 / 60_000);
  const time = minutes >= 120 ? `${Math.round(minutes / 60)} hours` : `${minutes} minutes`;
  return `sidecars report when they renew, within ${time}; one that will not come back: --gone INSTANCE, all of an id: --gone SPIFFE-ID`;
}
