/**
 * What is said about many routes: one table by their number, one plot of p99.
 *
 * Pure: a summary in, a section out.
 */

import type { Plot, Section, Table } from '../draw/section.ts';
import { showFigure } from '../draw/section.ts';
import { type Figure, read, type Summary } from '../result/summary.ts';
import { judgeRatio } from '../result/verdict.ts';

const base = 'routes-1';

/** p99 of ten thousand routes, as a multiple of one route's in the same round. */
export function routesP99Ratio(summary: Summary): Figure {
  return summary.ratio('routes-10000', base, 'rate', read.p99Us);
}

export function reportRoutes(summary: Summary): Section {
  return {
    title: summary.result.title,
    text: [],
    tables: [routesTable(summary)],
    plots: [p99Plot(summary)],
  };
}

function routesTable(summary: Summary): Table {
  const names = measuredArms(summary);
  const band = summary.ratio('routes-1-aa', base, 'rate', read.p99Us);
  const show = (arm: string, point: string, reader = read.p99Us, digits = 0) =>
    showFigure(summary.figure(arm, point, reader), digits);
  return {
    caption: 'Routes of one sidecar, requests spread over all of them',
    columns: [
      ...['routes', 'p50 us', 'p99 us', 'p99 x 1 route', 'verdict'],
      ...['CPU us/request', 'x 1 route', 'start ms', 'RSS MB', 'private MB'],
    ],
    rows: names.map((arm) => {
      const ratio = summary.ratio(arm, base, 'rate', read.p99Us);
      const cpu = summary.ratio(arm, base, 'saturation', read.cpuUsPerRequest);
      return [
        summary.label(arm),
        show(arm, 'rate', read.p50Us),
        show(arm, 'rate'),
        arm === base ? '1' : showFigure(ratio, 3),
        arm === base ? '-' : judgeRatio(ratio, band),
        show(arm, 'saturation', read.cpuUsPerRequest, 1),
        arm === base ? '1' : showFigure(cpu, 2),
        show(arm, 'start', read.startMs),
        show(arm, 'rate', read.rssMb, 1),
        show(arm, 'rate', read.privateMb, 1),
      ];
    }),
    notes: [
      'p50 and p99: 2000/s of independent callers on 16 connections. CPU: 16 connections, closed loop, all threads. ' +
        'Memory after the load at 2000/s.',
      'Ten rules a host, tried from the first; every request takes the next of all routes in turn.',
      `The same load without a proxy, p99: ${show('direct', 'rate')} us with one target, ` +
        `${show('direct', 'rate, many targets')} us with 10000: what the generator itself pays.`,
      'Start: exec to first proxied 200, which waits for the configuration to be read and compiled.',
    ],
  };
}

function p99Plot(summary: Summary): Plot {
  const points = measuredArms(summary).flatMap((arm) => {
    const figure = summary.figure(arm, 'rate', read.p99Us);
    const x = Number(arm.split('-')[1]);
    if (figure.state !== 'measured' || arm.endsWith('-aa')) return [];
    const { median: y, low, high } = figure.spread;
    return [{ x, y, low, high }];
  });
  return {
    name: 'routes-p99',
    title: 'p99 with many routes, 2000/s on 16 connections',
    kind: 'lines',
    x: { label: 'routes', log: true },
    y: { label: 'us', from: 0 },
    series: [{ label: 'Tracecar', points }],
  };
}

/** Without direct, in the order of size. */
function measuredArms(summary: Summary): readonly string[] {
  return summary.result.arms
    .map(({ name }) => name)
    .filter((name) => name.startsWith('routes-') && summary.points(name).includes('rate'));
}
