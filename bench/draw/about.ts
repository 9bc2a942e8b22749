/**
 * What must be said beside the figures of a result: how it was measured, what is missing, what failed.
 *
 * Pure; plain sentences, drawn elsewhere.
 */

import type { Result } from '../result/row.ts';
import { intervalOf } from '../result/statistics.ts';
import { droppedMax, type Summary } from '../result/summary.ts';

/** Of the whole machine; the same for all scenarios of a run. */
export function describeMachineOf({ machine, pinning, backend, keptAwake }: Result): string {
  const pinned =
    pinning === 'none'
      ? 'nothing pinned'
      : `proxy alone on core ${pinning.proxy}, load and backend on core ${pinning.load}`;
  return (
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node.js ${machine.node}; ` +
    `${pinned}; backend ${backend}; cores ${keptAwake ? 'kept awake' : 'free to halt when idle'}.`
  );
}

/** Of one scenario's run; `path` is the file's name as a reader would type it. */
export function describeRunOf(result: Result, path: string): readonly string[] {
  const lines = [
    `${path}: ${result.date.slice(0, 16)}Z, commit ${result.commit}, ${result.rounds} rounds, ` +
      `${result.seconds} s a load, ${Math.round(result.durationSeconds)} s in all; ` +
      `${(result.machine.idleBusy * 100).toFixed(1)} % busy before the first round.`,
  ];
  if (result.tolerateNoise) {
    lines.push('NOISE WAS TOLERATED: this is a smoke test of the bench, not a measurement.');
  }
  return lines;
}

/** How to read every table of these results. */
export function howToRead(results: readonly Result[]): string {
  return (
    `Medians over rounds [bootstrap interval over rounds, meant for 95 %; ${intervalsOf(results)}]; ` +
    '(2d) = two rounds dropped, the interval is that of the rest; UNPROVEN (4/7) = too many, four of ' +
    'seven; - = not measured.'
  );
}

/**
 * What the intervals are worth, by the numbers of rounds that the results have, and that are left of
 * them where rows were dropped (the fewest that a figure may rest on).
 */
export function intervalsOf(results: readonly Result[]): string {
  const counts = new Set<number>();
  for (const result of results) for (const count of roundsKept(result)) counts.add(count);
  const numbers = [...counts].sort((left, right) => right - left);
  return numbers.map(describeInterval).join('; ');
}

/** Of each cell: its rounds, and how many of them have no fault at all, which is what latencies rest on. */
function roundsKept({ rounds, cells, rows, tolerateNoise }: Result): readonly number[] {
  const faulty = new Map<string, number>();
  for (const { arm, point, faults } of rows) {
    const key = `${arm} ${point}`;
    if (faults.length > 0) faulty.set(key, (faulty.get(key) ?? 0) + 1);
  }
  return cells.flatMap((cell) => {
    const all = Math.min(cell.rounds ?? rounds, rounds);
    const dropped = tolerateNoise ? 0 : (faulty.get(`${cell.arm} ${cell.point}`) ?? 0);
    return dropped === 0 || dropped > droppedMax * all ? [all] : [all, all - dropped];
  });
}

function describeInterval(rounds: number): string {
  if (rounds === 1) return 'of one round there is none';
  const { isRange, coverage } = intervalOf(rounds);
  const what = isRange ? 'it is their range and covers' : 'it covers';
  return `of ${rounds} rounds ${what} about ${Math.round(coverage * 100)} % at best`;
}

/** What a reader must know of one scenario beside its tables. */
export function notesOf(summary: Summary): readonly string[] {
  const { result } = summary;
  return [
    ...wrongLines(summary),
    ...missingLines(result),
    ...lackLines(result),
    ...leftOutLines(result),
    ...tracecarLines(result),
    ...faultLines(summary),
    ...stealLines(result),
  ];
}

/** What the arms are, those of several results together, each once. */
export function settingsOf(results: readonly Result[]): readonly string[] {
  const lines = results
    .flatMap((result) => result.arms)
    .filter((arm) => arm.missing === undefined && !arm.name.startsWith('direct'))
    .map((arm) => `${arm.label} (${arm.version}): ${arm.setting}`);
  return [...new Set(lines)];
}

function tracecarLines(result: Result): readonly string[] {
  const own = result.arms.find((arm) => arm.name === 'tracecar' && arm.missing === undefined);
  if (own === undefined) return [];
  const lines: string[] = [];
  if (own.program !== 'dist/tracecar') {
    lines.push(`Tracecar ran as ${own.program}: slower to start and larger than the bundle.`);
  }
  const exports = !own.setting.includes('no exporter');
  if (exports && result.spansCollected === 0)
    lines.push('NO SPAN REACHED THE COLLECTOR: tracing was off.');
  return lines;
}

function missingLines(result: Result): readonly string[] {
  return result.arms
    .filter((arm) => arm.missing !== undefined)
    .map((arm) => `${arm.label} is missing: ${arm.missing}; to have it: ${arm.install}`);
}

/** Not among the noise: whoever answers wrongly is no measured arm. */
function wrongLines(summary: Summary): readonly string[] {
  const wrong = [...summary.wrongArms()].map(
    ([arm, rows]) => `${summary.label(arm)} in ${rows} ${rows === 1 ? 'row' : 'rows'}`,
  );
  return wrong.length === 0 ? [] : [`WRONG ANSWERS OR FAILURES: ${wrong.join(', ')}.`];
}

function leftOutLines({ leftOut = [] }: Result): readonly string[] {
  return leftOut.length === 0 ? [] : [`Left out by --arms: ${leftOut.join(', ')}.`];
}

/** Columns of '-' would not say why. */
function lackLines({ rows }: Result): readonly string[] {
  const lacks = new Set(rows.flatMap((row) => row.lacks ?? []));
  return [...lacks].map((each) => `missing: ${each}`);
}

function faultLines(summary: Summary): readonly string[] {
  const { rows, kinds } = summary.faults();
  if (rows === 0) return [];
  const each = [...kinds].map(([kind, count]) => `${kind} (${count})`).join(', ');
  return [`${rows} of ${summary.result.rows.length} rows have a fault: ${each}.`];
}

/** Results of an older bench: a figure of one core could hide behind the other. */
function stealLines({ rows, pinning }: Result): readonly string[] {
  const isOld = rows.some(({ values }) => 'stolen' in values && !('loadStolen' in values));
  if (!isOld || pinning === 'none') return [];
  return [
    'This result is of an older bench: stolen time was judged as the mean of both cores, and others on ' +
      "the load's core were not looked for.",
  ];
}
