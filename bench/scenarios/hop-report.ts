/**
 * What is said about the plain hop: one table of all arms, one of the fixed rates, two plots.
 *
 * Pure: a summary in, a section out.
 */

import { type Plot, type Section, showFigure, type Table } from '../draw/section.ts';
import { value } from '../result/read.ts';
import { type Figure, type Reader, read, type Summary } from '../result/summary.ts';

interface Column {
  readonly title: string;
  readonly digits: number;
  figure(summary: Summary, arm: string): Figure;
  /** Arms to divide by, in further columns. */
  readonly ratios: readonly string[];
  /** In text; a ratio has no interval here, the table of targets has it. */
  ratio(summary: Summary, arm: string, rival: string): string;
}

const columns: readonly Column[] = [
  plain('CPU us/request', 1, 'saturation', read.cpuUsPerRequest, ['envoy']),
  {
    title: 'added p50 us',
    digits: 0,
    figure: (summary, arm) => summary.added(arm, 'single', 0.5),
    ratios: ['envoy'],
    ratio: (summary, arm, rival) => showTimes(summary.addedTimes(arm, rival, 'single', 0.5)),
  },
  plain('requests/s', 0, 'saturation', read.requestsPerSecond, ['envoy', 'http-proxy']),
  plain('p99 us', 0, 'many', read.p99Us, ['envoy']),
  plain('RSS MB', 1, 'start', read.rssMb, []),
  plain('start ms', 0, 'start', read.startMs, []),
];

function plain(
  title: string,
  digits: number,
  point: string,
  reader: Reader,
  ratios: readonly string[],
): Column {
  return {
    title,
    digits,
    ratios,
    figure: (summary, arm) => summary.figure(arm, point, reader),
    ratio: (summary, arm, rival) => showMedian(summary.ratio(arm, rival, point, reader)),
  };
}

export function reportHop(summary: Summary): Section {
  return {
    title: summary.result.title,
    text: [],
    tables: [armsTable(summary), ...ratesTables(summary)],
    plots: [cpuPlot(summary)],
  };
}

/** The two numbers that the quick run ends with, each beside Envoy's. */
export function hopHeadlines(summary: Summary): readonly string[] {
  return [
    headline(
      'cpu_us_per_request',
      showFigure(summary.figure('tracecar', 'saturation', read.cpuUsPerRequest), 1),
      showFigure(summary.ratio('tracecar', 'envoy', 'saturation', read.cpuUsPerRequest), 2),
    ),
    headline(
      'added_p50_us',
      showFigure(summary.added('tracecar', 'single', 0.5), 0),
      showTimes(summary.addedTimes('tracecar', 'envoy', 'single', 0.5)),
    ),
  ];
}

function headline(name: string, own: string, ratio: string): string {
  return `${name.padEnd(20)} ${own}   ${ratio} x Envoy`;
}

function armsTable(summary: Summary): Table {
  return {
    caption: 'One hop, all arms',
    columns: [
      'arm',
      ...columns.flatMap(({ title, ratios }) => [title, ...ratios.map((rival) => `x ${rival}`)]),
    ],
    rows: summary.result.arms.map((arm) => {
      const cells = columns.flatMap((column) => cellsOf(summary, arm.name, column));
      return [arm.missing === undefined ? arm.label : `${arm.label}: missing`, ...cells];
    }),
    notes: [
      'CPU: time of the proxy on its core, all threads; 16 keep-alive connections, closed loop.',
      'Added p50: over direct, 1 connection, 1000/s. p99: 16 connections, 2000/s, Poisson arrivals. ' +
        'Both from the time a request was due.',
      'RSS: 0.5 s after the first answer. Start: exec to first proxied 200.',
      `Spans collected: ${summary.result.spansCollected}. The two direct arms of a round differ by ` +
        `${showFigure(summary.directNoise('single', 0.5), 0)} us at p50: less means nothing.`,
      '* = the proxy used less than 90 % of its core, or the load more than 95 % of the other: the load was ' +
        'the limit too, the proxy can do more.',
      'x envoy of an added latency: the ratio of the medians, - where Envoy adds no more than the two ' +
        'direct arms differ by.',
    ],
  };
}

function cellsOf(summary: Summary, arm: string, column: Column): readonly string[] {
  const text = showFigure(column.figure(summary, arm), column.digits);
  const limited = column.title === 'requests/s' && isLoadLimited(summary, arm);
  return [
    limited ? `${text} *` : text,
    ...column.ratios.map((rival) => column.ratio(summary, arm, rival)),
  ];
}

const loadCoreBusy: Reader = value('loadCoreBusy');

/** Whether the load was the limit at saturation, or as much of one as the proxy. */
export function isLoadLimited(summary: Summary, arm: string, point = 'saturation'): boolean {
  const share = summary.figure(arm, point, read.coreShare);
  const load = summary.figure(arm, point, loadCoreBusy);
  return (
    (share.state === 'measured' && share.spread.median < 0.9) ||
    (load.state === 'measured' && load.spread.median > 0.95)
  );
}

function showTimes(times: number | undefined): string {
  return times === undefined ? '-' : times.toFixed(2);
}

function showMedian(figure: Figure): string {
  return figure.state === 'measured' ? figure.spread.median.toFixed(2) : '-';
}

const rates = [
  { point: 'single', title: '1000/s on 1 connection' },
  { point: 'many', title: '2000/s on 16' },
  { point: 'more', title: '3000/s on 16' },
];

/** Only where a run has more than the quick one's points. */
function ratesTables(summary: Summary): readonly Table[] {
  if (summary.points('tracecar').every((point) => point !== 'more')) return [];
  const arms = summary.result.arms.filter(
    ({ name }) => !name.startsWith('direct') && summary.points(name).includes('single'),
  );
  return [
    {
      caption: 'Added latency at fixed rates, us over direct',
      columns: ['arm', ...rates.flatMap(({ title }) => [`${title}: p50`, 'p99'])],
      rows: arms.map(({ name, label }) => [
        label,
        ...rates.flatMap(({ point }) =>
          [0.5, 0.99].map((share) => showFigure(summary.added(name, point, share), 0)),
        ),
      ]),
      notes: [],
    },
  ];
}

function cpuPlot(summary: Summary): Plot {
  const points = summary.result.arms.flatMap(({ name, label }) => {
    const figure = summary.figure(name, 'saturation', read.cpuUsPerRequest);
    if (figure.state !== 'measured') return [];
    const { median: y, low, high } = figure.spread;
    return [{ y, low, high, label }];
  });
  return {
    name: 'hop-cpu',
    title: 'CPU of one plain hop',
    kind: 'bars',
    x: { label: '' },
    y: { label: 'us per request', from: 0 },
    series: [{ label: 'all threads', points: points.map((point, x) => ({ x, ...point })) }],
  };
}
