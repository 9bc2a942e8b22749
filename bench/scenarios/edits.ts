/**
 * B7, edits: a configuration that changes all the time under load, and whether anybody notices.
 *
 * Three points under the same load, 2000/s of independent callers on 16 connections, which is a third
 * to a half of what one core here can do beside its load generator (75 % of saturation, as the plan has
 * it, leaves the generator's core no room on a two-core machine):
 *
 *   none    no edit: what the others are compared with
 *   each    one edit after the other, each waited for until it is in effect
 *   storm   an edit every 10 ms: 100 a second, of which only the newest need take effect
 *
 * and `none` and `each` again with ten thousand routes beside the one that is edited.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { Histogram } from '../load/histogram.ts';
import type { OpenLoop } from '../load/load-order.ts';
import type { Row } from '../result/row.ts';
import type { Bench } from '../rounds/bench-run.ts';
import type { RunningArm } from '../stage/stage.ts';
import { ConfigEditor } from './config-editor.ts';
import { reportEdits } from './edits-report.ts';
import { editedArm } from './route-arms.ts';
import type { RouteCount } from './route-documents.ts';
import type { Cell, RowPlace, Scale, Scenario } from './scenario.ts';
import { compareToWeights, readSubsets } from './subset-counts.ts';

export const EditsPoint = { None: 'none', Each: 'each', Storm: 'storm' } as const;

const sizes: Readonly<Record<string, RouteCount>> = {
  edits: { hosts: 1, rulesPerHost: 1 },
  'edits-10000': { hosts: 1000, rulesPerHost: 10 },
};

/** An edit is not written earlier than this after the one before it. */
const eachGapMs = 100;
const stormGapMs = 10;
/** The last edit's effect is waited for under load too. */
const tailSeconds = 1;

export const edits: Scenario = {
  id: 'B7',
  name: 'edits',
  title: 'A thousand configuration edits under load',
  arms: [
    editedArm('edits', 'one route', sizes.edits!),
    editedArm('edits-10000', '10000 routes', sizes['edits-10000']!),
  ],
  cells: () => [
    { arm: 'edits', point: EditsPoint.None },
    { arm: 'edits', point: EditsPoint.Each },
    { arm: 'edits', point: EditsPoint.Storm },
    { arm: 'edits-10000', point: EditsPoint.None },
    { arm: 'edits-10000', point: EditsPoint.Each },
  ],
  // A round applies about 365 configurations: 160 and 165 that are waited for one by one, 40 of a storm of
  // 1000. A verdict needs 1000 in all.
  pace: (scale) =>
    ({
      quick: { rounds: 1, seconds: 10 },
      full: { rounds: 3, seconds: 20 },
      publish: { rounds: 5, seconds: 100 },
    })[scale],
  roundSeconds,
  measure,
  report: reportEdits,
};

function roundSeconds(scale: Scale): number {
  const { seconds } = edits.pace(scale);
  const all = edits.cells(scale).map((cell) => secondsOf(cell, seconds) + 2 * tailSeconds);
  return all.reduce((sum, each) => sum + each, 0);
}

/**
 * How long a cell's load lasts: the storm is a thousand edits at 20 s. Ten thousand routes have a compiler
 * that stays, which makes theirs the most edits a second: about 11, where one route has 8.
 */
function secondsOf({ arm, point }: Cell, seconds: number): number {
  if (point === EditsPoint.None) return seconds / 4;
  if (point === EditsPoint.Storm) return seconds / 2;
  return arm === 'edits' ? seconds : seconds * 0.8;
}

async function measure(bench: Bench, cell: Cell, place: RowPlace): Promise<Row> {
  const running = await bench.running(cell.arm);
  const seconds = secondsOf(cell, place.seconds);
  const order = orderFor(running.port, place.round, seconds);
  if (cell.point === EditsPoint.None) return bench.load(running, cell, place, order);
  const metricsPort = running.place!.metricsPort;
  const before = await readSubsets(metricsPort);
  const editor = new ConfigEditor(running, sizes[cell.arm]!.rulesPerHost, editsOf(running));
  const untilMs = performance.now() + (order.warmSeconds + seconds - tailSeconds) * 1000;
  try {
    const edit = cell.point === EditsPoint.Storm ? editInStorm : editOneByOne;
    const [row, effects] = await Promise.all([
      bench.load(running, cell, place, order),
      edit(editor, untilMs),
    ]);
    const weights = compareToWeights(before, await readSubsets(metricsPort));
    return {
      ...row,
      values: { ...row.values, ...weights, ...effects.values },
      histograms: { ...row.histograms, ...effects.histograms },
    };
  } finally {
    editsMade.set(running, editor.edits);
    editor.close();
  }
}

function orderFor(port: number, round: number, seconds: number): OpenLoop {
  return {
    ...{ kind: 'open', port, connections: 16, ratePerSecond: 2000, arrivals: 'poisson' },
    ...{ seconds, warmSeconds: Math.min(1, seconds / 4), seed: round + 1 },
  };
}

/** By copy, over all its cells: an edit that changes nothing would never be applied. */
const editsMade = new WeakMap<RunningArm, number>();

function editsOf(running: RunningArm): number {
  return editsMade.get(running) ?? 0;
}

interface Effects {
  /** edits, lostEdits (not in effect within ten seconds), applied (readings). */
  readonly values: Readonly<Record<string, number>>;
  /** In ns: 'effect' from the file's change, 'parsed' from the parsed document. */
  readonly histograms: Readonly<Record<string, readonly number[]>>;
}

async function editOneByOne(editor: ConfigEditor, untilMs: number): Promise<Effects> {
  const before = editor.edits;
  const effect = new Histogram();
  const parsed = new Histogram();
  let lostEdits = 0;
  while (performance.now() < untilMs) {
    const nextAt = performance.now() + eachGapMs;
    const { isInEffect, effectMs, parsedMs } = await editor.untilInEffect(editor.write());
    if (isInEffect) effect.record(effectMs * 1e6);
    else lostEdits++;
    if (parsedMs >= 0) parsed.record(parsedMs * 1e6);
    await sleep(Math.max(0, nextAt - performance.now()));
  }
  return {
    values: { edits: editor.edits - before, lostEdits, applied: editor.applied },
    histograms: { effect: effect.toSparse(), parsed: parsed.toSparse() },
  };
}

async function editInStorm(editor: ConfigEditor, untilMs: number): Promise<Effects> {
  const before = editor.edits;
  let writtenAtMs = 0;
  for (let nextAt = performance.now(); nextAt < untilMs; nextAt += stormGapMs) {
    await sleep(Math.max(0, nextAt - performance.now()));
    writtenAtMs = editor.write();
  }
  // Only the last has to be in effect in the end; how many were on the way is told.
  const { isInEffect, effectMs } = await editor.untilInEffect(writtenAtMs);
  const effect = new Histogram();
  if (isInEffect) effect.record(effectMs * 1e6);
  return {
    values: {
      edits: editor.edits - before,
      lostEdits: isInEffect ? 0 : 1,
      applied: editor.applied,
    },
    histograms: { effect: effect.toSparse() },
  };
}
