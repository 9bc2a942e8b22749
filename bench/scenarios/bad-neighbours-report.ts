/**
 * What is said about bad neighbours: the healthy flow's p99 with each of them, and what became of them.
 *
 * Pure: a summary in, a section out.
 */

import { type Plot, type Section, showFigure, type Table } from '../draw/section.ts';
import { value } from '../result/read.ts';
import type { Summary } from '../result/summary.ts';
import { CalmPoint, calmArms, calmVerdict, showP99, timesCalm, verdictNotes } from './disturbed.ts';

export const badKinds = [
  'slow-reader',
  'slow-writer',
  'large-header',
  'reset',
  'large-bodies',
] as const;

const labels: Readonly<Record<(typeof badKinds)[number], string>> = {
  'slow-reader': '32 that read 1 MiB slowly',
  'slow-writer': '16 whose heads come a byte at a time',
  'large-header': '20 heads of 1 MB a second, refused',
  reset: '100 requests a second, their upstream resets',
  'large-bodies': '500 answers of 64 KiB a second',
};

export function reportBadNeighbours(summary: Summary): Section {
  return {
    title: summary.result.title,
    text: [],
    tables: [p99Table(summary), timesTable(summary), endsTable(summary)],
    plots: [timesPlot(summary)],
  };
}

function p99Table(summary: Summary): Table {
  const arms = calmArms(summary);
  const rows = [
    ['nobody', CalmPoint.Calm],
    ['nobody, measured again', CalmPoint.Again],
    ...badKinds.map((kind) => [labels[kind], kind] as const),
  ] as const;
  return {
    caption: 'p99 of 1000 requests a second on 16 connections, us',
    columns: ['neighbour', ...arms.map((arm) => summary.label(arm))],
    rows: rows.map(([label, point]) => [label, ...arms.map((arm) => showP99(summary, arm, point))]),
    notes: ['From the time a request was due. Every answer of the flow was compared, and right.'],
  };
}

function timesTable(summary: Summary): Table {
  const arms = calmArms(summary);
  return {
    caption: 'The same as a multiple of the p99 without a neighbour, in the same round',
    columns: ['neighbour', ...arms.map((arm) => summary.label(arm)), 'Tracecar: verdict'],
    rows: badKinds.map((kind) => [
      labels[kind],
      ...arms.map((arm) => showFigure(timesCalm(summary, arm, kind), 2)),
      calmVerdict(summary, 'tracecar', kind),
    ]),
    notes: [...verdictNotes],
  };
}

function endsTable(summary: Summary): Table {
  const arms = calmArms(summary);
  return {
    caption: 'What the neighbour did in a load',
    columns: ['neighbour', ...arms.map((arm) => summary.label(arm))],
    rows: badKinds.map((kind) => [
      labels[kind],
      ...arms.map((arm) => showFigure(summary.figure(arm, kind, value('neighbourActs')), 0)),
    ]),
    notes: [
      'Pieces of 16 KiB that slow readers took, bytes that slow writers sent, requests of the others. Those ' +
        'that came to an end ended as they are to: answered; refused, or cut, with a head too large; an ' +
        'error of the gateway, or cut, where the upstream resets. A row where one did not is dropped.',
    ],
  };
}

function timesPlot(summary: Summary): Plot {
  return {
    name: 'bad-neighbours',
    title: 'p99 of a healthy flow beside bad neighbours',
    kind: 'bars',
    x: { label: '' },
    y: { label: 'x without', from: 0 },
    series: calmArms(summary).map((arm) => ({
      label: summary.label(arm),
      points: badKinds.flatMap((kind, x) => {
        const figure = timesCalm(summary, arm, kind);
        if (figure.state !== 'measured') return [];
        const { median: y, low, high } = figure.spread;
        return [{ x, y, low, high, label: kind }];
      }),
    })),
  };
}
