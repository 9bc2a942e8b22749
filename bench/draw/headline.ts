/**
 * The few figures for the project's front page: the arms that people know, and the price list in short.
 *
 * Pure. What a result does not have is left out or stands as '-'; bench/README.md has all of it.
 */

import { read, type Summary } from '../result/summary.ts';
import { isLoadLimited } from '../scenarios/hop-report.ts';
import { priceSteps } from '../scenarios/price-steps.ts';
import { PricePoint, workRead } from '../scenarios/prices-report.ts';
import { showCount, showFigure } from './section.ts';
import type { Cells } from './table.ts';

const names = [
  'tracecar',
  'tracecar-100',
  'envoy',
  'envoy-no-stats',
  'envoy-otel',
  'haproxy',
  'nginx',
  'http-proxy',
  'floor',
];

/** The head first. */
export function hopHeadlineRows(summary: Summary): readonly Cells[] {
  const arms = names.flatMap((name) => summary.result.arms.filter((arm) => arm.name === name));
  const head = [
    ...['arm', 'CPU us/request', 'x Envoy', 'requests/s, one core'],
    ...['added p50 us, 1000/s', 'added p99 us, 2000/s'],
  ];
  const rows = arms.map(({ name, label, missing }) => {
    if (missing !== undefined) return [`${label}: missing`, '-', '-', '-', '-', '-'];
    const ratio = summary.ratio(name, 'envoy', 'saturation', read.cpuUsPerRequest);
    return [
      label,
      showFigure(summary.figure(name, 'saturation', read.cpuUsPerRequest), 1),
      ratio.state === 'measured' ? ratio.spread.median.toFixed(2) : showFigure(ratio, 2),
      showRate(summary, name),
      showFigure(summary.added(name, 'single', 0.5), 0),
      showFigure(summary.added(name, 'many', 0.99), 0),
    ];
  });
  return [head, ...rows];
}

function verdictOf(summary: Summary, arm: string, before: string): string {
  const verdict = summary.verdict(arm, before, PricePoint.Saturation, read.cpuUsPerRequest);
  return verdict === 'absent' ? '-' : verdict;
}

/** Marked where the load was the limit. */
function showRate(summary: Summary, name: string): string {
  const text = showFigure(summary.figure(name, 'saturation', read.requestsPerSecond), 0);
  return isLoadLimited(summary, name) ? `${text} *` : text;
}

/** What each step adds to the one before it; the head first. */
export function priceHeadlineRows(summary: Summary): readonly Cells[] {
  const present = priceSteps.filter(({ arm }) =>
    summary.result.arms.some((each) => each.name === arm.name),
  );
  const rows = present.map(({ arm, adds }, index) => {
    const before = present[index - 1]?.arm.name;
    const cpu =
      before === undefined
        ? summary.figure(arm.name, PricePoint.Saturation, read.cpuUsPerRequest)
        : summary.difference(arm.name, before, PricePoint.Saturation, read.cpuUsPerRequest);
    const whole = summary.figure(arm.name, PricePoint.Saturation, read.cpuUsPerRequest);
    const count = (reader: (typeof workRead)[keyof typeof workRead], digits: number) => {
      return showCount(summary.count(arm.name, PricePoint.Work, reader), digits);
    };
    return [
      adds,
      showFigure(cpu, 1),
      before === undefined ? '-' : verdictOf(summary, arm.name, before),
      showFigure(whole, 1),
      count(workRead.allocatedBytes, 0),
      count(workRead.systemCalls, 2),
    ];
  });
  const head = [
    'one thing more',
    'adds, CPU us',
    'verdict',
    'CPU us/request',
    'bytes',
    'system calls',
  ];
  return [head, ...rows];
}

/** 'Tracecar 98.1 and 42.0 MB; Envoy ...': a paragraph, nothing where Tracecar's was not measured. */
export function memoryHeadline(summary: Summary): readonly string[] {
  const own = memoryOf(summary, 'tracecar');
  if (own === undefined) return [];
  const show = (values: readonly number[], digits: number) =>
    values.map((value) => value.toFixed(digits)).join(' and ');
  const rivals = ['envoy', 'haproxy', 'nginx'].flatMap((name) => {
    const rival = memoryOf(summary, name);
    if (rival === undefined) return [];
    const times = rival.map((value, index) => value / own[index]!);
    return [`; ${summary.label(name)} ${show(rival, 1)} MB (${show(times, 2)} x Tracecar's)`];
  });
  return [
    'Memory at 1000/s on 64 connections, resident and private: ' +
      `${summary.label('tracecar')} ${show(own, 1)} MB${rivals.join('')}.`,
    '',
  ];
}

/** Medians of RSS and private memory, MB; undefined where one of them was not measured. */
function memoryOf(summary: Summary, arm: string): readonly number[] | undefined {
  const figures = [read.rssMb, read.privateMb].map((each) => summary.figure(arm, 'load', each));
  const values = figures.flatMap((each) => (each.state === 'measured' ? each.spread.median : []));
  return values.length === figures.length ? values : undefined;
}
