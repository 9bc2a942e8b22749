/**
 * What is said about streams: a table of times over direct, a table of multiples of the plain request.
 *
 * Pure: a summary in, a section out.
 */

import { type Plot, type Section, showFigure, type Table } from '../draw/section.ts';
import { read, type Summary } from '../result/summary.ts';

/** As load/stream-caller.ts calls them. */
export const StreamPoint = {
  H1: 'h1',
  WebSocket: 'websocket',
  FirstByte: 'first byte',
  Event: 'event',
  Http2: 'http2',
} as const;

const labels = [
  [StreamPoint.H1, 'HTTP/1.1, request and answer'],
  [StreamPoint.WebSocket, 'WebSocket, message and echo'],
  [StreamPoint.FirstByte, 'server-sent events, first byte'],
  [StreamPoint.Event, 'server-sent events, delay of each'],
  [StreamPoint.Http2, 'HTTP/2 relayed unread, request and answer'],
] as const;

export function reportStreams(summary: Summary): Section {
  return {
    title: summary.result.title,
    text: [],
    tables: [addedTable(summary), relativeTable(summary)],
    plots: [addedPlot(summary)],
  };
}

function addedTable(summary: Summary): Table {
  const arms = proxies(summary);
  const columns = arms.flatMap((arm) => [0.5, 0.99].map((share) => ({ arm, share })));
  return {
    caption: 'Added to direct in the same round, us',
    columns: [
      ...['what', 'direct: p50'],
      ...columns.map(({ arm, share }) => `${summary.label(arm)}: p${share * 100}`),
    ],
    rows: labels.map(([point, label]) => [
      label,
      showFigure(summary.figure('direct', point, read.p50Us), 0),
      ...columns.map(({ arm, share }) => showFigure(summary.added(arm, point, share), 0)),
    ]),
    notes: [
      'One connection, one call after the other with a millisecond between them, 100 bytes. The far end is ' +
        'one Node.js program for all (bench/load/stream-backend.ts). Delay of an event: from its sending, by ' +
        'the clock of the machine, every 4 ms.',
      'HTTP/2: with prior knowledge, through a captured connection in a network namespace, where HAProxy is in ' +
        'TCP mode and Envoy a TCP proxy; Tracecar sees its preface and relays it unread. Everything else: ' +
        'explicit listeners for HTTP/1.1.',
    ],
  };
}

function relativeTable(summary: Summary): Table {
  const arms = ['direct', ...proxies(summary)];
  return {
    caption: 'p50 as a multiple of the plain request of the same arm and round',
    columns: ['what', ...arms.map((arm) => summary.label(arm))],
    rows: [labels[1], labels[2]].map(([point, label]) => [
      label,
      ...arms.map((arm) =>
        showFigure(summary.pointRatio(arm, point, StreamPoint.H1, read.p50Us), 2),
      ),
    ]),
    notes: [],
  };
}

function addedPlot(summary: Summary): Plot {
  return {
    name: 'streams',
    title: 'Added p50 of streams',
    kind: 'bars',
    x: { label: '' },
    y: { label: 'us', from: 0 },
    series: proxies(summary).map((arm) => ({
      label: summary.label(arm),
      points: labels.flatMap(([point], x) => {
        const figure = summary.added(arm, point, 0.5);
        if (figure.state !== 'measured') return [];
        const { median: y, low, high } = figure.spread;
        return [{ x, y, low, high, label: point }];
      }),
    })),
  };
}

function proxies(summary: Summary): readonly string[] {
  return summary.result.arms
    .map(({ name }) => name)
    .filter((name) => !name.startsWith('direct') && summary.points(name).includes(StreamPoint.H1));
}
