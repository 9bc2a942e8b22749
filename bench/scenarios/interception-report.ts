/**
 * What is said about one captured connection: its times over direct, its throughput, its memory.
 *
 * Pure: a summary in, a section out.
 */

import { type Plot, type Section, showFigure, type Table } from '../draw/section.ts';
import { latencyReader, value } from '../result/read.ts';
import { type Figure, type Reader, read, type Summary } from '../result/summary.ts';

/** As bench/interception-load.ts calls its loads. */
export const InterceptionPoint = {
  FirstByte: 'first byte',
  Greeting: 'greeting',
  Cold: 'cold greeting',
  Stream: 'stream',
  Idle: 'idle',
  Lookup: 'lookup',
} as const;

const { FirstByte, Greeting, Cold, Stream, Idle, Lookup } = InterceptionPoint;
/** A core this busy is what limits. */
const fullCore = 0.95;

const megabytesPerSecond: Reader = latencyReader(({ values }) =>
  values.bytes === undefined ? undefined : values.bytes / values.streamUs!,
);
const cpuMsPerGigabyte: Reader = ({ values }) =>
  values.bytes === undefined || values.cpuUs === undefined
    ? undefined
    : values.cpuUs / 1000 / (values.bytes / 1e9);

/** What one connection adds to a percentile (us), over the same calls without a proxy in the round. */
export function capturedAdds(summary: Summary, point: string, share: number): Figure {
  return summary.added('tracecar', point, share);
}

/** Tracecar's throughput as a multiple of HAProxy's in the same round. */
export function streamRatio(summary: Summary): Figure {
  return summary.ratio('tracecar', 'haproxy', Stream, megabytesPerSecond);
}

/** Why the ratio may be too good: the load could not show how fast HAProxy is. */
export function streamDoubt(summary: Summary): string | undefined {
  const isFull = summary.result.rows.some(
    ({ arm, point, values }) =>
      arm === 'haproxy' &&
      point === Stream &&
      (values.loadCoreBusy ?? 0) >= fullCore &&
      (values.cpuUs ?? 0) / (values.streamUs ?? 1) < fullCore,
  );
  return isFull ? "the load's core was full where HAProxy's was not" : undefined;
}

/** Private memory of one socket of the sidecar, idle. */
export function idleSocketBytes(summary: Summary): Figure {
  return summary.figure('tracecar', Idle, value('socketBytes'));
}

export function lookupUs(summary: Summary): Figure {
  return summary.figure('tracecar', Lookup, value('lookupUs'));
}

export function reportInterception(summary: Summary): Section {
  return {
    title: summary.result.title,
    text: [
      'Pods are network namespaces of this machine on one bridge; a caller dials a server in another pod. ' +
        'In its way is nothing (direct), or the rules of `tracecar init` and a sidecar (the bundle by its ' +
        'launcher, no configuration, no access log, metrics on, no exporter of spans), or the same rules ' +
        'and HAProxy in TCP mode, which dials the original destination as a sidecar does. The far pod has no ' +
        'sidecar. Both ends are Node.js on one core.',
    ],
    tables: [timesTable(summary), streamTable(summary), ownTable(summary)],
    plots: [plotOf(summary)],
  };
}

const loads = [
  [FirstByte, 'connect and first byte'],
  [Greeting, 'greeting of the server'],
  [Cold, 'greeting, destination never seen'],
] as const;

function timesTable(summary: Summary): Table {
  const arms = proxiesAt(summary, FirstByte);
  const added = (arm: string, point: string, share: number) =>
    showFigure(summary.added(arm, point, share), 0);
  const perArm = (arm: string) => [
    `${summary.label(arm)}: added p50`,
    `${summary.label(arm)}: added p99`,
  ];
  return {
    caption: 'Times of a new connection, us over direct in the same round',
    columns: ['what', 'direct: p50', 'direct: p99', ...arms.flatMap(perArm)],
    rows: loads.map(([point, label]) => [
      label,
      showFigure(summary.figure('direct', point, read.p50Us), 0),
      showFigure(summary.figure('direct', point, read.p99Us), 0),
      ...arms.flatMap((arm) => [0.5, 0.99].map((share) => added(arm, point, share))),
    ]),
    notes: [
      'Connect and first byte: from the dial to the first byte of an echo; the caller sends one byte that ' +
        'is neither HTTP nor TLS. One connection after the other, 400 a round, over IPv4. Greeting: the ' +
        'server speaks first; never seen: 20 destinations a round, so that p99 is the slowest of them.',
    ],
  };
}

function streamTable(summary: Summary): Table {
  const arms = ['direct', ...proxiesAt(summary, Stream)];
  return {
    caption: 'Throughput of bytes that are no HTTP, one connection',
    columns: ['arm', 'MB/s', 'x haproxy', 'CPU of the proxy, ms for a GB'],
    rows: arms.map((arm) => [
      summary.label(arm),
      showFigure(summary.figure(arm, Stream, megabytesPerSecond), 0),
      showFigure(summary.ratio(arm, 'haproxy', Stream, megabytesPerSecond), 2),
      showFigure(summary.figure(arm, Stream, cpuMsPerGigabyte), 0),
    ]),
    notes: [
      '1 GiB from the server to the caller. HAProxy has its defaults, buffers of 16 KiB and no splicing: ' +
        'with larger ones it may be faster.',
    ],
  };
}

function ownTable(summary: Summary): Table {
  const lookup = (name: string) => showFigure(summary.figure('tracecar', Lookup, value(name)), 2);
  return {
    caption: "A connection's memory, and the lookup of its original destination",
    columns: ['what', 'measured'],
    rows: [
      ['an idle socket of the sidecar, bytes', showFigure(idleSocketBytes(summary), 0)],
      ['the kernel is asked (getsockopt, and the printed address), us', lookup('askUs')],
      ['what is known of the address, one of 1000 on its port, us', lookup('findUs')],
      ['both, us', lookup('lookupUs')],
    ],
    notes: [
      'Idle: 8000 connections through a new sidecar, each after one echoed byte. Private memory (what ' +
        'ending the process would free) two seconds later, less that before them. An intercepted ' +
        'connection is two sockets of the sidecar and costs twice the figure. Memory of the kernel is not ' +
        'in it, nor what the sidecar had free in its own heap before.',
      'Lookup: CPU of one thread, bench/micro/original-destination.ts on 64 redirected connections in turn.',
    ],
  };
}

function plotOf(summary: Summary): Plot {
  const series = [0.5, 0.99].map((share) => ({
    label: `p${share * 100}`,
    points: proxiesAt(summary, FirstByte).flatMap((arm, x) => {
      const figure = summary.added(arm, FirstByte, share);
      if (figure.state !== 'measured') return [];
      const { median: y, low, high } = figure.spread;
      return [{ x, y, low, high, label: summary.label(arm) }];
    }),
  }));
  return {
    name: 'interception-first-byte',
    title: 'What capture adds to connect and first byte',
    kind: 'bars',
    x: { label: '' },
    y: { label: 'us', from: 0 },
    series,
  };
}

/** The arms with a proxy that have a cell there. */
function proxiesAt(summary: Summary, point: string): readonly string[] {
  return summary.result.arms
    .map(({ name }) => name)
    .filter((name) => !name.startsWith('direct') && summary.points(name).includes(point));
}
