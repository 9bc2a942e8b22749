/**
 * What is said about tracing: what each share of spans costs, and what a bad collector changes.
 *
 * Pure: a summary in, a section out.
 */

import { type Plot, type Section, showFigure, type Table } from '../draw/section.ts';
import { value } from '../result/read.ts';
import { type Reader, read, type Summary } from '../result/summary.ts';
import { judgeRatio } from '../result/verdict.ts';
import type { CollectorMode } from '../stage/collector-control.ts';

/** In the order of the tables; the second one is the same again, for the noise. */
export const tracingArms = [
  'tracecar-off',
  'tracecar-0',
  'tracecar',
  'tracecar-aa',
  'tracecar-100',
] as const;

export const collectorModes = ['up', 'slow', 'dead', 'busy'] as const satisfies CollectorMode[];

const modeLabels: Readonly<Record<CollectorMode, string>> = {
  up: 'up',
  slow: 'slow: answers after 2 s',
  dead: 'dead: nobody listens',
  busy: 'busy: answers 429',
};

export function pointOf(mode: CollectorMode): string {
  return `collector=${mode}`;
}

const up = pointOf('up');
const off = 'tracecar-off';
const whole = 'tracecar-100';

export function reportTracing(summary: Summary): Section {
  return {
    title: summary.result.title,
    text: [],
    tables: [sharesTable(summary), collectorsTable(summary)],
    plots: [p99Plot(summary)],
  };
}

function sharesTable(summary: Summary): Table {
  const show = (arm: string, reader: Reader, digits: number) =>
    showFigure(summary.figure(arm, up, reader), digits);
  return {
    caption: 'Spans of a plain hop, collector up',
    columns: [
      ...['arm', 'added p50 us', 'added p99 us', 'p99 x off', 'verdict'],
      ...['CPU us/request', 'over off', 'hot thread us', 'over off'],
      ...['spans made', 'sent', 'dropped', 'waiting'],
    ],
    rows: tracingArms.map((arm) => [
      summary.label(arm),
      showFigure(summary.added(arm, up, 0.5), 0),
      showFigure(summary.added(arm, up, 0.99), 0),
      showFigure(summary.ratio(arm, off, up, read.p99Us), 3),
      arm === off ? '-' : summary.verdict(arm, off, up, read.p99Us),
      show(arm, read.cpuUsPerRequest, 1),
      showFigure(summary.difference(arm, off, up, read.cpuUsPerRequest), 1),
      show(arm, read.hotCpuUsPerRequest, 1),
      showFigure(summary.difference(arm, off, up, read.hotCpuUsPerRequest), 1),
      ...spansOf(summary, arm, up),
    ]),
    notes: [
      '2000/s of independent callers on 16 connections, latency from the time a request was due; ' +
        'added: over direct. CPU at this rate has more idle wake-ups in it than at saturation.',
      ...bandNotes(summary),
    ],
  };
}

function collectorsTable(summary: Summary): Table {
  const band = summary.band(up, read.p99Us);
  const cpuBand = summary.band(up, read.cpuUsPerRequest);
  return {
    caption: 'Every span exported, by what the collector does',
    columns: [
      ...['collector', 'p99 us', 'p99 x up', 'verdict', 'CPU us/request', 'x up', 'verdict'],
      ...['hot thread us', 'spans made', 'sent', 'dropped', 'waiting', 'RSS MB'],
    ],
    rows: collectorModes.map((mode) => {
      const point = pointOf(mode);
      const p99 = summary.pointRatio(whole, point, up, read.p99Us);
      const cpu = summary.pointRatio(whole, point, up, read.cpuUsPerRequest);
      return [
        modeLabels[mode],
        showFigure(summary.figure(whole, point, read.p99Us), 0),
        showFigure(p99, 3),
        mode === 'up' ? '-' : judgeRatio(p99, band),
        showFigure(summary.figure(whole, point, read.cpuUsPerRequest), 1),
        showFigure(cpu, 3),
        mode === 'up' ? '-' : judgeRatio(cpu, cpuBand),
        showFigure(summary.figure(whole, point, read.hotCpuUsPerRequest), 1),
        ...spansOf(summary, whole, point),
        showFigure(summary.figure(whole, point, read.rssMb), 1),
      ];
    }),
    notes: [
      'Waiting: in the ring, in the queue of 2048 or on their way when the load ended; fewer than 512 ' +
        'wait for the schedule of 5 s only. A full queue drops and counts; no request waits for it. Before ' +
        'each load with a collector that is slow, dead or busy, 15 000 requests fill queue and ring, and ' +
        'spans are counted from then on; a row that then saw no drop is not counted.',
      ...bandNotes(summary),
    ],
  };
}

/** Medians of whole numbers: made, sent, dropped, waiting at the end. */
function spansOf(summary: Summary, arm: string, point: string): readonly string[] {
  return ['spansMade', 'spansSent', 'spansDropped', 'spansQueued'].map((name) => {
    const figure = summary.figure(arm, point, value(name));
    return figure.state === 'measured' ? figure.spread.median.toFixed(0) : showFigure(figure, 0);
  });
}

function bandNotes(summary: Summary): readonly string[] {
  const p99 = showFigure(summary.band(up, read.p99Us), 3);
  const cpu = showFigure(summary.band(up, read.cpuUsPerRequest), 3);
  return [
    `Two identical copies at 1 % differ by a factor of ${p99} in p99 and ${cpu} in CPU: what is wholly ` +
      'inside that is "no difference", what is partly inside is "open", and so is either where the copies ' +
      'are more than 25 % apart.',
  ];
}

function p99Plot(summary: Summary): Plot {
  const bars = [
    ...tracingArms.map((arm) => ({ arm, point: up, label: summary.label(arm) })),
    ...collectorModes
      .filter((mode) => mode !== 'up')
      .map((mode) => ({
        arm: whole,
        point: pointOf(mode),
        label: `Tracecar, 100 %, collector ${mode}`,
      })),
  ];
  const points = bars.flatMap(({ arm, point, label }, x) => {
    const figure = summary.figure(arm, point, read.p99Us);
    if (figure.state !== 'measured') return [];
    const { median, low, high } = figure.spread;
    return [{ x, y: median, low, high, label }];
  });
  return {
    name: 'tracing-p99',
    title: 'p99 of a plain hop by what becomes of its spans',
    kind: 'bars',
    x: { label: '' },
    y: { label: 'us, 2000/s on 16 connections', from: 0 },
    series: [{ label: 'p99', points }],
  };
}
