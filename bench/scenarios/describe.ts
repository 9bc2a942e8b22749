/**
 * `npm run bench -- --list`: what each scenario measures and about how long it takes.
 */

import { orderCells } from '../rounds/schedule.ts';
import type { Cell, Scale, Scenario } from './scenario.ts';

/** Beside its measured seconds a cell takes this: connections, /proc, the histograms. */
const besideSeconds = 0.1;
/** And a part of them, for connections to warm up. */
const warmShare = 0.2;
const startSeconds = 2;
/** Once a run: two load generators, a second each, against six arms (load/cross-check.ts). */
const crossCheckSeconds = 14;

export function describeScenarios(list: readonly Scenario[], scale: Scale): string {
  const lines = [`scale: ${scale}`];
  let all = 0;
  for (const scenario of list) {
    const cells = scenario.cells(scale);
    const { rounds, seconds } = scenario.pace(scale);
    const minutes = minutesOf(scenario, scale);
    all += minutes;
    lines.push(
      '',
      `${scenario.id} ${scenario.name}: ${scenario.title}`,
      `   ${rounds} rounds of ${cells.length} cells, ${seconds} s each: ${minutes.toFixed(1)} min`,
      ...armsByPoint(cells).map((line) => `   ${line}`),
    );
  }
  lines.push('', `all: about ${Math.ceil(all)} minutes`, '');
  return lines.join('\n');
}

/** An estimate, starting the arms included. */
export function minutesOf(scenario: Scenario, scale: Scale): number {
  const cells = scenario.cells(scale);
  const { rounds, seconds } = scenario.pace(scale);
  const arms = new Set(cells.map((cell) => cell.arm)).size;
  let all = arms * startSeconds;
  if (scenario.name === 'hop' && scale !== 'quick') all += crossCheckSeconds;
  for (let round = 0; round < rounds; round++) {
    const cellSeconds = seconds * (1 + warmShare) + besideSeconds;
    all += scenario.roundSeconds?.(scale) ?? orderCells(cells, round).length * cellSeconds;
  }
  return all / 60;
}

function armsByPoint(cells: readonly Cell[]): readonly string[] {
  const points = new Map<string, string[]>();
  for (const { arm, point } of cells) points.set(point, [...(points.get(point) ?? []), arm]);
  return [...points].map(([point, arms]) => `${point === '' ? '-' : point}: ${arms.join(' ')}`);
}
