/**
 * The table of targets: what was asked, what was measured, the verdict.
 *
 * Pure. A missed target stays in it with its measured value.
 */

import type { TargetOutcome } from '../result/targets.ts';
import { showFigure } from './section.ts';
import type { Cells } from './table.ts';

/** The head first. */
export function targetRows(outcomes: readonly TargetOutcome[]): readonly Cells[] {
  const rows = outcomes.map(({ target, measured, verdict }) => [
    target.what,
    limitOf(target),
    showFigure(measured, target.digits),
    verdict,
  ]);
  return [['target', 'limit', 'measured', 'verdict'], ...rows];
}

/** '12 of 23 targets met, 1 missed, 4 open, 6 not measured.' */
export function countVerdicts(outcomes: readonly TargetOutcome[]): string {
  const count = (verdict: string) => outcomes.filter((each) => each.verdict === verdict).length;
  const others = (['missed', 'open', 'not measured'] as const)
    .filter((verdict) => count(verdict) > 0)
    .map((verdict) => `, ${count(verdict)} ${verdict}`);
  return `${count('met')} of ${outcomes.length} targets met${others.join('')}.`;
}

/** What the words mean. */
export const verdictNote =
  'met, missed: the whole interval says so; open: the limit is inside it, or too many rounds were dropped.';

function limitOf({ limit, unit, stretch }: TargetOutcome['target']): string {
  const text = `<= ${limit} ${unit}`;
  return stretch === undefined ? text : `${text} (stretch ${stretch})`;
}
