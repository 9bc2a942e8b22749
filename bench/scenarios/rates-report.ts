/**
 * What is said about the ladder of rates: CPU-ms for 1000 requests, and memory, by requests a second.
 *
 * Pure: a summary in, a section out.
 */

import type { Plot, Section, Table } from '../draw/section.ts';
import { type Reader, read, type Summary } from '../result/summary.ts';
import { istioCpuMs, istioSource } from './istio-figures.ts';
import {
  armsAt,
  figureRow,
  type LadderRow,
  ladderPlot,
  ladderSeries,
  ladderTable,
  type Step,
  stepsOf,
} from './ladder.ts';

export function ratePoint(ratePerSecond: number): string {
  return `rate=${ratePerSecond}`;
}

const heading = ['arm', '/s'] as const;

/** As many us for one request as ms for a thousand. */
const cpuMs: Reader = read.cpuUsPerRequest;

export function reportRates(summary: Summary): Section {
  const steps = stepsOf(summary, 'rate');
  const arms = armsAt(summary, steps);
  return {
    title: summary.result.title,
    text: [],
    tables: [
      cpuTable(summary, steps, arms),
      ratioTable(summary, steps, arms),
      memoryTable(summary, steps, arms, 'RSS', read.rssMb),
      memoryTable(summary, steps, arms, 'Private memory', read.privateMb),
      memoryTable(summary, steps, arms, 'PSS', read.pssMb, [
        'After each load, of copies that have served the other loads of the run too. RSS counts pages ' +
          'whole, also those of the program file that several sidecars of a machine share; PSS divides ' +
          'them; private is what ending the process would free. Copies that did nothing else: memory.',
      ]),
    ],
    plots: [cpuPlot(summary, steps, arms)],
  };
}

function cpuTable(summary: Summary, steps: readonly Step[], arms: readonly string[]): Table {
  const published: LadderRow = {
    label: 'published: one sidecar of Istio with mTLS, telemetry off',
    cell: ({ number }) => istioCpuMs(number)?.toFixed(0) ?? '-',
  };
  return ladderTable(
    'CPU-ms for 1000 requests, all threads',
    heading,
    steps,
    [...armRows(summary, arms, cpuMs, 1), published],
    [
      '16 connections, evenly spaced requests, answers of 1 KB. What a process uses beside requests is ' +
        'divided among them, so a low rate makes each dear.',
      `The row "published" is of another machine: ${istioSource}.`,
      ...bandNotes(summary, steps, arms),
    ],
  );
}

/** Only where a second Tracecar was measured. */
function bandNotes(
  summary: Summary,
  steps: readonly Step[],
  arms: readonly string[],
): readonly string[] {
  if (!arms.includes('tracecar-aa')) return [];
  const bands = steps.map(({ point, number }) => {
    const band = summary.band(point, cpuMs);
    return `${band.state === 'measured' ? band.spread.median.toFixed(2) : '-'} at ${number}/s`;
  });
  return [`Two identical copies differ by a factor of ${bands.join(', ')}.`];
}

function ratioTable(summary: Summary, steps: readonly Step[], arms: readonly string[]): Table {
  const rivals = ['envoy', 'haproxy'].filter((rival) => arms.includes(rival));
  const rows = rivals.map((rival) =>
    figureRow(`Tracecar x ${summary.label(rival)}`, 2, (point) =>
      summary.ratio('tracecar', rival, point, cpuMs),
    ),
  );
  return ladderTable('CPU of Tracecar against rivals of the same rounds', ['', '/s'], steps, rows);
}

function memoryTable(
  summary: Summary,
  steps: readonly Step[],
  arms: readonly string[],
  caption: string,
  reader: Reader,
  notes: readonly string[] = [],
): Table {
  const rows = armRows(summary, arms, reader, 1);
  return ladderTable(`${caption}, MB`, heading, steps, rows, notes);
}

function armRows(
  summary: Summary,
  arms: readonly string[],
  reader: Reader,
  digits: number,
): readonly LadderRow[] {
  return arms.map((arm) =>
    figureRow(summary.label(arm), digits, (point) => summary.figure(arm, point, reader)),
  );
}

function cpuPlot(summary: Summary, steps: readonly Step[], arms: readonly string[]): Plot {
  const drawn = arms.filter((arm) => arm !== 'tracecar-aa');
  return ladderPlot(
    'rates-cpu',
    'CPU by requests a second, 16 connections',
    { label: 'requests a second', log: true },
    { label: 'CPU-ms for 1000 requests', from: 0 },
    drawn.map((arm) =>
      ladderSeries(summary.label(arm), steps, (point) => summary.figure(arm, point, cpuMs)),
    ),
  );
}
