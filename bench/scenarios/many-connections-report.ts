/**
 * What is said about many connections: one table of arms, one plot.
 *
 * Pure: a summary in, a section out.
 */

import { type Plot, type Section, showFigure, type Table } from '../draw/section.ts';
import { value } from '../result/read.ts';
import { read, type Summary } from '../result/summary.ts';
import { CalmPoint, calmArms, calmVerdict, showP99, timesCalm, verdictNotes } from './disturbed.ts';

export const ManyPoint = { Held: 'held', Churn: 'churn' } as const;

export function reportManyConnections(summary: Summary): Section {
  return {
    title: summary.result.title,
    text: [],
    tables: [armsTable(summary)],
    plots: [p99Plot(summary)],
  };
}

function armsTable(summary: Summary): Table {
  return {
    caption: 'Bystanders: 2000 requests a second on 1000 connections, beside all the idle ones',
    columns: [
      ...['arm', 'idle connections', 'bytes of one', 'p50 us, calm', 'p99 us, calm'],
      ...['p99 us, 200 connections/s come and go', 'x calm', 'verdict'],
    ],
    rows: calmArms(summary).map((arm) => [
      summary.label(arm),
      showOnce(summary, arm, 'idle'),
      showOnce(summary, arm, 'idleBytes'),
      showFigure(summary.figure(arm, CalmPoint.Calm, read.p50Us), 0),
      showP99(summary, arm, CalmPoint.Calm),
      showP99(summary, arm, ManyPoint.Churn),
      showFigure(timesCalm(summary, arm, ManyPoint.Churn), 2),
      calmVerdict(summary, arm, ManyPoint.Churn),
    ]),
    notes: [
      'Idle connections: opened once in a run, after one answer each; no more than 44 % of the descriptors that ' +
        'a process may have here, and than 8800: a sidecar takes 10 000 in all. Bytes of one: growth of the ' +
        "proxy's private memory, which is warm by then, divided by their number; one measuring.",
      'Each connection that comes asks once and goes. From the time a request was due.',
      ...verdictNotes,
    ],
  };
}

/** Measured once in a run. */
function showOnce(summary: Summary, arm: string, name: string): string {
  const figure = summary.figure(arm, ManyPoint.Held, value(name));
  return figure.state === 'measured' ? figure.spread.median.toFixed(0) : showFigure(figure, 0);
}

function p99Plot(summary: Summary): Plot {
  const points = [
    ['calm', CalmPoint.Calm],
    ['with churn', ManyPoint.Churn],
  ] as const;
  const series = points.map(([label, point]) => ({
    label,
    points: calmArms(summary).flatMap((arm, x) => {
      const figure = summary.figure(arm, point, read.p99Us);
      if (figure.state !== 'measured') return [];
      const { median: y, low, high } = figure.spread;
      return [{ x, y, low, high, label: summary.label(arm) }];
    }),
  }));
  return {
    name: 'many-connections',
    title: 'p99 of bystanders, with and without churn',
    kind: 'bars',
    x: { label: '' },
    y: { label: 'us', from: 0 },
    series,
  };
}
