/**
 * What is said about memory: one table, one plot.
 *
 * Pure: a summary in, a section out.
 */

import { type Plot, type Section, showFigure, type Table } from '../draw/section.ts';
import { value } from '../result/read.ts';
import { type Reader, read, type Summary } from '../result/summary.ts';

/** Private bytes of one idle connection. */
export const idlePrivateBytes: Reader = value('idlePrivateBytes');

export function reportMemory(summary: Summary): Section {
  return {
    title: summary.result.title,
    text: [],
    tables: [memoryTable(summary)],
    plots: [memoryPlot(summary)],
  };
}

function memoryTable(summary: Summary): Table {
  return {
    caption: 'Memory of the process',
    columns: ['arm', 'RSS MB', 'private MB', 'PSS MB', 'bytes of an idle connection'],
    rows: measuredArms(summary).map((arm) => {
      const show = (point: string, reader: Reader, digits: number) =>
        showFigure(summary.figure(arm, point, reader), digits);
      return [
        summary.label(arm),
        show('load', read.rssMb, 1),
        show('load', read.privateMb, 1),
        show('load', read.pssMb, 1),
        show('idle', idlePrivateBytes, 0),
      ];
    }),
    notes: [
      'RSS, private and PSS: after 1000/s on 64 connections, a copy that has done nothing else. Private: ' +
        'what ending the process would free; PSS: shared pages divided among those that map them.',
      'An idle connection: growth of private memory by 2000 connections that served one request each and ' +
        "then wait, divided by 2000. The kernel's own buffers are not in it.",
    ],
  };
}

function memoryPlot(summary: Summary): Plot {
  const series = [
    { label: 'RSS', reader: read.rssMb },
    { label: 'private', reader: read.privateMb },
  ].map(({ label, reader }) => ({
    label,
    points: measuredArms(summary).flatMap((arm, x) => {
      const figure = summary.figure(arm, 'load', reader);
      if (figure.state !== 'measured') return [];
      const { median: y, low, high } = figure.spread;
      return [{ x, y, low, high, label: summary.label(arm) }];
    }),
  }));
  return {
    name: 'memory',
    title: 'Memory at 1000/s on 64 connections',
    kind: 'bars',
    x: { label: '' },
    y: { label: 'MB', from: 0 },
    series,
  };
}

function measuredArms(summary: Summary): readonly string[] {
  return summary.result.arms
    .map(({ name }) => name)
    .filter((name) => summary.points(name).includes('load'));
}
