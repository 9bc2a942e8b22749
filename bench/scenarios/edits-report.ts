/**
 * What is said about edits under load: what failed, how soon they held, what traffic felt.
 *
 * Pure: a summary in, a section out. Failed requests are counted over all rows, the dropped ones too:
 * a row is dropped because of them.
 */

import { type Plot, type Section, showFigure, type Table } from '../draw/section.ts';
import { percentile, value } from '../result/read.ts';
import type { Row } from '../result/row.ts';
import { spreadOf } from '../result/statistics.ts';
import { type Figure, type Reader, read, type Summary } from '../result/summary.ts';

const names = ['edits', 'edits-10000'];
const editedPoints = ['each', 'storm'];

/** So many configurations must have been applied before "nothing failed" says anything. */
export const appliedLeast = 1000;

/** Configurations that took effect, in all rows: of a storm's edits most are replaced before they do. */
export function appliedOf(summary: Summary): number {
  return editedRows(summary).reduce((sum, { values }) => sum + (values.applied ?? 0), 0);
}

/** Too few were applied; undefined where they were enough. */
export function tooFewApplied(summary: Summary): string | undefined {
  const applied = appliedOf(summary);
  return applied >= appliedLeast
    ? undefined
    : `${applied} of ${appliedLeast} configurations were applied`;
}

/** Requests that had no right answer, and edits that were never in effect, over all rounds. */
export function editsFailed(summary: Summary): Figure {
  const rows = editedRows(summary);
  if (rows.length === 0) return { state: 'absent' };
  const counts = rows.map(({ values }) => (values.errors ?? Number.NaN) + (values.lostEdits ?? 0));
  // A row without values is a run that broke: nothing is proven then.
  if (counts.some(Number.isNaN)) {
    return { state: 'unproven', dropped: counts.filter(Number.isNaN).length, rounds: rows.length };
  }
  const failed = counts.reduce((sum, count) => sum + count, 0);
  return { state: 'measured', spread: spreadOf([failed]), dropped: 0, rounds: 1 };
}

/** ms from the parsed document to its effect, p99 of a round's edits. */
export function parsedToEffectMs(summary: Summary, arm = 'edits', share = 0.99): Figure {
  return summary.figure(arm, 'each', milliseconds(share, 'parsed'));
}

export function reportEdits(summary: Summary): Section {
  const { rows } = summary.result;
  const edits = rows.reduce((sum, { values }) => sum + (values.edits ?? 0), 0);
  return {
    title: summary.result.title,
    text: [
      `${edits} edits written, ${appliedOf(summary)} configurations applied; failed requests and lost edits: ` +
        `${showFigure(editsFailed(summary), 0)}.`,
    ],
    tables: [editsTable(summary), effectTable(summary)],
    plots: [effectPlot(summary)],
  };
}

function editedRows({ result }: Summary): readonly Row[] {
  return result.rows.filter(({ point }) => editedPoints.includes(point));
}

function editsTable(summary: Summary): Table {
  const cells = names.flatMap((arm) => summary.points(arm).map((point) => ({ arm, point })));
  return {
    caption: 'Traffic while the configuration changes',
    columns: [
      ...['routes', 'edits', 'edits a round', 'readings applied', 'failed'],
      ...['p50 us', 'p99 us', 'more than without: p50', 'p99', 'v1 off 60 %, points', 'chi-square'],
    ],
    rows: cells.map(({ arm, point }) => {
      const show = (reader: Reader, digits: number) =>
        showFigure(summary.figure(arm, point, reader), digits);
      const more = (reader: Reader) =>
        showFigure(summary.pointDifference(arm, point, 'none', reader), 0);
      const isEdited = point !== 'none';
      return [
        summary.label(arm),
        point,
        show(value('edits'), 0),
        show(value('applied'), 0),
        String(failedAt(summary, arm, point)),
        show(read.p50Us, 0),
        show(read.p99Us, 0),
        isEdited ? more(read.p50Us) : '-',
        isEdited ? more(read.p99Us) : '-',
        show(value('weightErrorPercent'), 3),
        show(value('weightChiSquare'), 3),
      ];
    }),
    notes: [
      '2000/s of independent callers on 16 connections: about a third of what one core does here beside ' +
        'its load; 75 % of saturation would leave no room on the core of the generator.',
      'each: an edit, its effect proven by an answer, then the next. storm: an edit every 10 ms; the sidecar ' +
        'reads a folder once it has been quiet for 50 ms, or after 250 ms, so that it takes the newest.',
      'A configuration is compiled on a thread of its own, which shares the one core of the proxy here.',
      'Chi-square of the split 60/40 by subset: independent draws exceed 3.84 once in twenty.',
    ],
  };
}

function effectTable(summary: Summary): Table {
  const rows = names.flatMap((arm) => {
    if (!summary.points(arm).includes('each')) return [];
    const show = (histogram: string, share: number, digits: number) =>
      showFigure(summary.figure(arm, 'each', milliseconds(share, histogram)), digits);
    return [
      [
        summary.label(arm),
        ...[0.5, 0.99].map((share) => show('parsed', share, 1)),
        ...[0.5, 0.99].map((share) => show('effect', share, 0)),
      ],
    ];
  });
  return {
    caption: 'Until an edit is in effect, ms',
    columns: [
      'routes',
      'from the parsed document: p50',
      'p99',
      "from the file's change: p50",
      'p99',
    ],
    rows,
    notes: [
      'From the parsed document: checks, compiling, the way of what changed to the hot thread and the swap, ' +
        'as the sidecar itself logs it. From the change of the file: 50 ms of quiet and YAML besides. A small ' +
        "configuration starts a compiler's thread for each edit; that of a large one lasts, and reads only " +
        'the file that changed.',
    ],
  };
}

function effectPlot(summary: Summary): Plot {
  const points = names.flatMap((arm) => {
    const figure = parsedToEffectMs(summary, arm);
    if (figure.state !== 'measured') return [];
    const { median: y, low, high } = figure.spread;
    return [{ y, low, high, label: summary.label(arm) }];
  });
  return {
    name: 'edits-effect',
    title: 'From the parsed document to its effect, p99',
    kind: 'bars',
    x: { label: '' },
    y: { label: 'ms', from: 0 },
    series: [{ label: 'Tracecar', points: points.map((point, x) => ({ x, ...point })) }],
  };
}

function failedAt(summary: Summary, arm: string, point: string): number {
  return summary.result.rows
    .filter((row) => row.arm === arm && row.point === point)
    .reduce((sum, { values }) => sum + (values.errors ?? 0) + (values.lostEdits ?? 0), 0);
}

function milliseconds(share: number, histogram: string): Reader {
  const micros = percentile(share, histogram);
  return (row) => {
    const us = micros(row);
    return us === undefined ? undefined : us / 1000;
  };
}
