/**
 * The table of targets: what was asked, what was measured, the verdict.
 *
 * Pure. A missed target stays in it with its measured value.
 */

import { reasons } from '../result/reasons.ts';
import type { TargetOutcome } from '../result/targets.ts';
import { showFigure } from './section.ts';
import type { Cells } from './table.ts';

/** The head first. */
export function targetRows(outcomes: readonly TargetOutcome[]): readonly Cells[] {
  const rows = outcomes.map((outcome) => [
    outcome.target.what,
    limitOf(outcome),
    measuredOf(outcome),
    outcome.verdict,
  ]);
  return [['target', 'limit', 'measured', 'verdict'], ...rows];
}

/** '12 of 23 targets met, 1 missed, 4 open, 6 not measured.' */
export function countVerdicts(outcomes: readonly TargetOutcome[]): string {
  const count = (verdict: string) => outcomes.filter((each) => each.verdict === verdict).length;
  const others = (['missed', 'open', 'not measured'] as const)
    .filter((verdict) => count(verdict) > 0)
    .map((verdict) => `, ${count(verdict)} ${verdict}`);
  const asked = outcomes.length - count('no target');
  return `${count('met')} of ${asked} targets met${others.join('')}.`;
}

/** What the words mean. */
export const verdictNote =
  'met, missed: the whole interval of three rounds or more says so (of a count: all its rounds); open: ' +
  'neither is proven; no target: nothing was asked. An added latency is judged by the difference in us, ours ' +
  "less the limit times Envoy's in the same round, and is met only where it is wholly below 0 by more than two " +
  'identical Tracecars differ by there (A/A), missed only where it is as far above; before it stands the ratio ' +
  'of the medians, "-" where Envoy adds no more than two direct arms differ by. Being inside what two identical ' +
  "arms show proves nothing where that is wider than 25 %. Envoy's benchmarking FAQ says to consider switching its " +
  "statistics off; Tracecar's metrics stay on in either row.";

/**
 * Of each target that is missed or open: why an open one is, and what reasons.ts knows about it. A
 * missed one that nobody has written about is said to be so.
 */
export function reasonLines(outcomes: readonly TargetOutcome[]): readonly string[] {
  const judged = outcomes.filter(({ verdict }) => verdict === 'missed' || verdict === 'open');
  // Several targets may have one reason: then it is told once, behind all of them.
  const lines = new Map<string, string[]>();
  for (const outcome of judged) {
    const { target, verdict, openBecause } = outcome;
    const known = reasons[target.id];
    const missing =
      verdict === 'missed' ? 'No reason is written down yet (bench/result/reasons.ts).' : '';
    const why = openBecause === undefined ? verdict : `${verdict}: ${openBecause}`;
    const reason = known ?? missing;
    const names = lines.get(reason) ?? [];
    names.push(`${target.what}, ${limitOf(outcome)} (${why})`);
    lines.set(reason, names);
  }
  return [...lines].map(([reason, names]) => `${names.join('; ')}. ${reason}`.trimEnd());
}

/** '0.31; ours - 0.75 x theirs, us: -45 [-60..-10]; A/A +-8' of an added latency: what is judged. */
function measuredOf({ target, measured, times, bandUs }: TargetOutcome): string {
  if (target.times === undefined || measured.state !== 'measured') {
    return showFigure(measured, target.digits);
  }
  const multiple = times === undefined ? '-' : times.toFixed(target.digits);
  const noise = bandUs === undefined ? 'no A/A' : `A/A +-${bandUs.toFixed(0)}`;
  const difference = `ours - ${target.limit} x theirs, us: ${showFigure(measured, 0)}`;
  return `${multiple}; ${difference}; ${noise}`;
}

function limitOf({ target, bandMost }: TargetOutcome): string {
  const { limit, unit, stretch, digits } = target;
  if (target.isInformation === true) return `- (${unit})`;
  if (target.band !== undefined) {
    return bandMost === undefined ? '<= the A/A band' : `<= ${bandMost.toFixed(digits)} ${unit}`;
  }
  const text = `${target.isLeast === true ? '>=' : '<='} ${limit} ${unit}`;
  return stretch === undefined ? text : `${text} (stretch ${stretch})`;
}
