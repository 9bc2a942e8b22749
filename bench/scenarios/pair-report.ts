/**
 * What is said about pairs: one table of all arms, one plot.
 *
 * Pure: a summary in, a section out.
 */

import { type Plot, type Section, showFigure, type Table } from '../draw/section.ts';
import { type Figure, type Reader, read, type Summary } from '../result/summary.ts';

export const PairPoint = { Saturation: 'saturation', Rate: 'rate' } as const;

const { Saturation, Rate } = PairPoint;
/** Share of requests, in percent, that made no connection between the two. */
const reuse: Reader = (row) => {
  const { connectionsMade, requests } = row.values;
  if (connectionsMade === undefined || !requests) return undefined;
  return 100 * (1 - connectionsMade / requests);
};

const rivals = ['envoy-pair', 'haproxy-pair'] as const;

export function reportPair(summary: Summary): Section {
  return {
    title: summary.result.title,
    text: [],
    tables: [armsTable(summary)],
    plots: [cpuPlot(summary)],
  };
}

export function connectionReuse(summary: Summary): Figure {
  return summary.figure('tracecar-pair', Rate, reuse);
}

function armsTable(summary: Summary): Table {
  return {
    caption: 'A pair, both processes together',
    columns: [
      ...['arm', 'CPU us/request', 'x Envoy pair', 'x HAProxy pair'],
      ...['requests/s', '1000/s: added p50 us', 'added p99 us', 'reused %'],
    ],
    rows: summary.result.arms.map(({ name, label, missing }) => [
      missing === undefined ? label : `${label}: missing`,
      showFigure(summary.figure(name, Saturation, read.cpuUsPerRequest), 1),
      ...rivals.map((rival) => {
        const figure = summary.ratio(name, rival, Saturation, read.cpuUsPerRequest);
        return figure.state === 'measured' ? figure.spread.median.toFixed(2) : '-';
      }),
      showFigure(summary.figure(name, Saturation, read.requestsPerSecond), 0),
      ...[0.5, 0.99].map((share) => showFigure(summary.added(name, Rate, share), 0)),
      showFigure(summary.figure(name, Rate, reuse), 2),
    ]),
    notes: [
      'CPU: time of both processes, all threads; 16 keep-alive connections, closed loop, both on one core.',
      'Added: over direct, 16 connections, 1000/s of 1 KB, Poisson arrivals, from the time a request was due. ' +
        'Reused: requests of that load for which the two needed no new connection.',
    ],
  };
}

function cpuPlot(summary: Summary): Plot {
  const points = summary.result.arms.flatMap(({ name, label }) => {
    const figure = summary.figure(name, Saturation, read.cpuUsPerRequest);
    if (figure.state !== 'measured') return [];
    const { median: y, low, high } = figure.spread;
    return [{ y, low, high, label }];
  });
  return {
    name: 'pair-cpu',
    title: 'CPU of two sidecars with mutual TLS',
    kind: 'bars',
    x: { label: '' },
    y: { label: 'us per request', from: 0 },
    series: [{ label: 'both processes', points: points.map((point, x) => ({ x, ...point })) }],
  };
}
