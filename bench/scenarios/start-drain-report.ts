/**
 * What is said about start and drain: one table of arms, one of Tracecar's end.
 *
 * Pure: a summary in, a section out. Lost requests are counted over all rows, the dropped ones too: a
 * row is dropped because of them.
 */

import { type Plot, type Section, showFigure, type Table } from '../draw/section.ts';
import { latencyReader, percentile, value } from '../result/read.ts';
import { spreadOf } from '../result/statistics.ts';
import { type Figure, type Reader, read, type Summary } from '../result/summary.ts';

const steadyP99Us = percentile(0.99, 'steady');

/** p99 of the first 2000 requests after ready, as a multiple of the same copy's after 60 000 more. */
export const firstOverSteady: Reader = latencyReader((row) => {
  const first = read.p99Us(row);
  const steady = steadyP99Us(row);
  return first === undefined || steady === undefined ? undefined : first / steady;
});

/** Load that lasts longer after SIGTERM had pauses in which the sidecar may have ended: a busy machine. */
export const loadAfterSignalMaxMs = 4500;

/** Requests without a right answer in all drains. */
export function lostInDrain(summary: Summary): Figure {
  const rows = summary.result.rows.filter(({ point }) => point === 'drain');
  if (rows.length === 0) return { state: 'absent' };
  const counts = rows.map(({ values: { errors, loadAfterSignalMs = Number.POSITIVE_INFINITY } }) =>
    loadAfterSignalMs > loadAfterSignalMaxMs ? undefined : errors,
  );
  const known = counts.filter((count) => count !== undefined);
  // A row without values is a run that broke, and a late load proves nothing either.
  if (known.length < counts.length) {
    return { state: 'unproven', dropped: counts.length - known.length, rounds: counts.length };
  }
  const lost = known.reduce((sum, count) => sum + count, 0);
  return { state: 'measured', spread: spreadOf([lost]), dropped: 0, rounds: 1 };
}

export function reportStartDrain(summary: Summary): Section {
  return {
    title: summary.result.title,
    text: [],
    tables: [startTable(summary), drainTable(summary)],
    plots: [startPlot(summary)],
  };
}

function startTable(summary: Summary): Table {
  const names = startedArms(summary);
  return {
    caption: 'From exec to the first answer, and from the first answers to the usual ones',
    columns: [
      ...['arm', 'exec to first 200, ms', 'RSS MB', 'exec to ready, ms'],
      ...['p99 us of the first 2000', 'p99 us when warm', 'first / warm'],
    ],
    rows: names.map((arm) => {
      const show = (point: string, reader: Reader, digits: number) =>
        showFigure(summary.figure(arm, point, reader), digits);
      return [
        summary.label(arm),
        show('start', read.startMs, 0),
        show('start', read.rssMb, 1),
        arm === 'tracecar' ? show('fresh', value('readyMs'), 0) : '-',
        show('fresh', read.p99Us, 0),
        show('fresh', steadyP99Us, 0),
        show('fresh', firstOverSteady, 2),
      ];
    }),
    notes: [
      'First 2000: from ready (Tracecar warms itself before it says so; Envoy and HAProxy: from their ' +
        'first answer), 2000/s of independent callers on 16 connections. Warm: the same after 60 000 more.',
      'RSS: 0.5 s after the first answer.',
    ],
  };
}

function drainTable(summary: Summary): Table {
  const show = (reader: Reader, digits: number) =>
    showFigure(summary.figure('tracecar', 'drain', reader), digits);
  const isMeasured = summary.points('tracecar').includes('drain');
  return {
    caption: 'SIGTERM under 1000 requests a second on 16 connections',
    columns: [
      'arm',
      'requests a round',
      'lost in all rounds',
      'ms from SIGTERM to the end',
      'p99 us',
    ],
    rows: isMeasured
      ? [
          [
            summary.label('tracecar'),
            show(value('requests'), 0),
            showFigure(lostInDrain(summary), 0),
            show(value('drainMs'), 0),
            show(read.p99Us, 0),
          ],
        ]
      : [],
    notes: [
      'One second of load before the signal, three after it. A sidecar of calls that only go out takes them ' +
        'until there have been none for 1.5 s: with the three seconds that is most of the time to its end.',
      'Callers open a new connection where an answer says `Connection: close`, as HTTP asks.',
    ],
  };
}

function startPlot(summary: Summary): Plot {
  const points = startedArms(summary).flatMap((arm) => {
    const figure = summary.figure(arm, 'start', read.startMs);
    if (figure.state !== 'measured') return [];
    const { median: y, low, high } = figure.spread;
    return [{ y, low, high, label: summary.label(arm) }];
  });
  return {
    name: 'start',
    title: 'From exec to the first proxied 200',
    kind: 'bars',
    x: { label: '' },
    y: { label: 'ms', from: 0 },
    series: [{ label: 'start', points: points.map((point, x) => ({ x, ...point })) }],
  };
}

function startedArms(summary: Summary): readonly string[] {
  return summary.result.arms
    .map(({ name }) => name)
    .filter((name) => summary.points(name).includes('start'));
}
