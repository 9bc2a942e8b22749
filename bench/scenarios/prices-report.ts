/**
 * The price list drawn: a table of steps with what each adds, and bars.
 *
 * Pure: a summary in, a section out.
 */

import {
  type Plot,
  type Section,
  type Series,
  showCount,
  showFigure,
  type Table,
} from '../draw/section.ts';
import { value } from '../result/read.ts';
import { type Figure, type Reader, rangeOf, read, type Summary } from '../result/summary.ts';
import { besideSteps, type PriceStep, priceSteps } from './price-steps.ts';

export const PricePoint = { Saturation: 'saturation', Work: 'work' } as const;

/** Of the main thread, per request, at PricePoint.Work. */
export const workRead = {
  allocatedBytes: value('allocatedBytesPerRequest'),
  systemCalls: value('systemCallsPerRequest'),
} satisfies Record<string, Reader>;

const saturation = PricePoint.Saturation;

/** How to read it, and what it cannot tell apart. */
const text = [
  'Each step is the one before it and one thing more, measured in the same rounds: the price of a ' +
    'thing is the difference. The first four are parts of the proxy put together without the rest ' +
    '(bench/arms/ablated-proxy.ts); from "metrics" on it is the product with its own switches.',
  'Not separated: a record is filled in even when tracing is off, so its fields are part of "HTTP, no ' +
    'rule"; metrics have no switch, so their price includes all that the whole program does beside ' +
    'traffic; making ids, printing the traceparent and copying the record to the worker are one step. ' +
    'Mutual TLS and authorization, which other price lists have, are not there yet.',
];

export function reportPrices(summary: Summary): Section {
  return {
    title: summary.result.title,
    text,
    tables: [pricesTable(summary)],
    plots: [stepsPlot(summary), addedPlot(summary)],
  };
}

function pricesTable(summary: Summary): Table {
  const floor = besideSteps[0]!;
  const band = summary.band(saturation, read.cpuUsPerRequest);
  return {
    caption: 'One plain HTTP/1.1 request, step by step',
    columns: [
      ...['arm', 'what it adds', 'CPU us', 'added', 'verdict'],
      ...['hot thread us', 'added', 'bytes', 'added', 'system calls', 'added'],
    ],
    rows: [
      [
        floor.label,
        "a simple proxy on Node.js's own streams: a head scanned, a header added",
        ...figuresOf(summary, floor.name, undefined),
      ],
      ...priceSteps.map(({ arm, adds }, index) => [
        arm.label,
        adds,
        ...figuresOf(summary, arm.name, priceSteps[index - 1]),
      ]),
    ],
    notes: [
      'CPU: all threads of the proxy, 16 keep-alive connections, closed loop; hot thread: the one that ' +
        'proxies. Differences are taken inside a round.',
      `Two identical copies of the default differ by a factor of ${showFigure(band, 3)}: a step wholly ` +
        'inside that is "no difference", one partly inside is "open", and so is either where the copies are ' +
        'more than 25 % apart.',
      `Bytes and system calls: of the hot thread, counted in ${countedRounds(summary)} in copies of ` +
        'their own (V8 allocation counter; strace on one connection, so that no two requests share a ' +
        'wait, and waits that bring nothing left out); [the least..the most] where the rounds differ.',
      ...perfNotes(summary),
      'Neither "bare Node.js" nor the relay is a lower bound: the relay copies every chunk for a stream of Node.js, where HTTP is written ' +
        'from one slab.',
    ],
  };
}

/** Beside strace's figure, where perf was there. */
function perfNotes(summary: Summary): readonly string[] {
  const all = summary.count('tracecar', PricePoint.Work, value('perfCallsPerRequest'));
  if (all.state !== 'measured') return [];
  return [
    `perf, which slows nothing down and leaves no wait out, counts ${showCount(all, 2)} system calls a request ` +
      'of the default: libuv looks once in vain before it sleeps.',
  ];
}

function figuresOf(
  summary: Summary,
  arm: string,
  before: PriceStep | undefined,
): readonly string[] {
  const pair = (point: string, reader: Reader, digits: number) => [
    showFigure(summary.figure(arm, point, reader), digits),
    before === undefined
      ? '-'
      : showAdded(summary.difference(arm, before.arm.name, point, reader), digits),
  ];
  const cpu = pair(saturation, read.cpuUsPerRequest, 1);
  const verdict =
    before === undefined
      ? '-'
      : summary.verdict(arm, before.arm.name, saturation, read.cpuUsPerRequest);
  const hot = pair(saturation, read.hotCpuUsPerRequest, 1);
  const counts = (reader: Reader, digits: number) => [
    showCount(summary.count(arm, PricePoint.Work, reader), digits),
    before === undefined
      ? '-'
      : showCountAdded(summary.difference(arm, before.arm.name, PricePoint.Work, reader), digits),
  ];
  const bytes = counts(workRead.allocatedBytes, 0);
  const calls = counts(workRead.systemCalls, 2);
  return [...cpu, verdict, ...hot, ...bytes, ...calls];
}

/** With a sign: a step may also be cheaper than the one before it. */
function showAdded(figure: Figure, digits: number): string {
  const text = showFigure(figure, digits);
  return figure.state === 'measured' && figure.spread.median > 0 ? `+${text}` : text;
}

function showCountAdded(figure: Figure, digits: number): string {
  const text = showCount(rangeOf(figure), digits);
  return figure.state === 'measured' && figure.spread.median > 0 ? `+${text}` : text;
}

/** 'one round', '3 rounds', '2 to 3 rounds'. */
function countedRounds({ result }: Summary): string {
  const cells = result.cells.filter(({ point }) => point === PricePoint.Work);
  const counts = cells.map(({ rounds }) => Math.min(rounds ?? result.rounds, result.rounds));
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  if (cells.length === 0 || most === 1) return 'one round';
  return least === most ? `${most} rounds` : `${least} to ${most} rounds`;
}

function stepsPlot(summary: Summary): Plot {
  const series = (label: string, reader: Reader): Series => ({
    label,
    points: [besideSteps[0]!, ...priceSteps.map((step) => step.arm)].flatMap((arm, x) => {
      const figure = summary.figure(arm.name, saturation, reader);
      if (figure.state !== 'measured') return [];
      const { median, low, high } = figure.spread;
      return [{ x, y: median, low, high, label: arm.label }];
    }),
  });
  return {
    name: 'prices-steps',
    title: 'CPU of one plain request, one thing more in each bar',
    kind: 'bars',
    x: { label: '' },
    y: { label: 'us per request', from: 0 },
    series: [
      series('all threads', read.cpuUsPerRequest),
      series('hot thread', read.hotCpuUsPerRequest),
    ],
  };
}

function addedPlot(summary: Summary): Plot {
  const points = priceSteps.slice(1).flatMap(({ arm, adds }, x) => {
    const before = priceSteps[x]!.arm.name;
    const figure = summary.difference(arm.name, before, saturation, read.cpuUsPerRequest);
    if (figure.state !== 'measured') return [];
    const { median, low, high } = figure.spread;
    return [{ x, y: median, low, high, label: adds }];
  });
  return {
    name: 'prices',
    title: 'The price list: what each thing adds to a request',
    kind: 'bars',
    x: { label: '' },
    y: { label: 'us of CPU per request, all threads' },
    series: [{ label: 'added', points }],
  };
}
