/**
 * What is said about bodies: one table for each of them, and requests/s and CPU by the answer's size.
 *
 * Pure: a summary in, a section out.
 */

import { type Plot, type Section, showFigure, type Table } from '../draw/section.ts';
import { latencyReader } from '../result/read.ts';
import { type Figure, type Reader, read, type Summary } from '../result/summary.ts';
import { isLoadLimited } from './hop-report.ts';
import { armsAt, ladderPlot, ladderSeries, type Step, stepsOf } from './ladder.ts';

/** 'body=BYTES': a GET that is answered with so many. */
export function answerPoint(bytes: number): string {
  return `body=${bytes}`;
}

/** A POST whose body has a Content-Length, or is chunked; answered with 100 bytes. */
export const PostPoint = { Length: 'post=16384', Chunked: 'chunked=16384' } as const;

const postTitles: Readonly<Record<string, string>> = {
  post: 'POST of 16 KiB with its length',
  chunked: 'POST of 16 KiB in chunks',
};
const ratioRivals = ['envoy', 'nginx', 'http-proxy'];

export function reportBodies(summary: Summary): Section {
  const answers = stepsOf(summary, 'body');
  const posts = ['post', 'chunked'].flatMap((kind) =>
    stepsOf(summary, kind).map((step) => ({ step, title: postTitles[kind]! })),
  );
  const tables = [
    ...answers.map((step) => ({ step, title: `GET answered with ${showSize(step.number)}` })),
    ...posts,
  ];
  return {
    title: summary.result.title,
    text: [
      '16 keep-alive connections, each sending again as soon as it has its answer; every byte of an ' +
        'answer is compared. Generator and backend share the other core: * = the proxy used less than ' +
        '90 % of its own, or they more than 95 % of theirs, so the load was the limit, too, and requests/s ' +
        'say less than CPU does.',
    ],
    tables: tables.map(({ step, title }) => bodyTable(summary, step, title)),
    plots: [
      sizePlot(summary, answers, 'bodies-requests', 'Requests a second', read.requestsPerSecond),
      sizePlot(summary, answers, 'bodies-cpu', 'CPU of a request, us', read.cpuUsPerRequest),
    ],
  };
}

function bodyTable(summary: Summary, step: Step, title: string): Table {
  const { point, number: bytes } = step;
  const arms = armsAt(summary, [step]);
  const rivals = ratioRivals.filter((rival) => arms.includes(rival));
  const labels = rivals.map((rival) => `x ${summary.label(rival)}`);
  return {
    caption: title,
    columns: ['arm', 'requests/s', ...labels, 'GB/s', 'CPU us/request', ...labels, 'core used'],
    rows: arms.map((arm) => {
      const figure = (reader: Reader) => summary.figure(arm, point, reader);
      const ratios = (reader: Reader) =>
        rivals.map((rival) => showMedian(summary.ratio(arm, rival, point, reader), 2));
      const share = figure(read.coreShare);
      const requests = showFigure(figure(read.requestsPerSecond), 0);
      return [
        summary.label(arm),
        isLoadLimited(summary, arm, point) ? `${requests} *` : requests,
        ...ratios(read.requestsPerSecond),
        bytes === 0 ? '-' : showFigure(figure(gigabytesPerSecond(bytes)), 3),
        showFigure(figure(read.cpuUsPerRequest), 1),
        ...ratios(read.cpuUsPerRequest),
        showMedian(share, 2),
      ];
    }),
    notes: [],
  };
}

/** Of bodies alone, 10^9 bytes. */
function gigabytesPerSecond(bytes: number): Reader {
  return latencyReader((row) => {
    const requests = read.requestsPerSecond(row);
    return requests === undefined ? undefined : (requests * bytes) / 1e9;
  });
}

/** A ratio without its interval: the table has enough of them. */
function showMedian(figure: Figure, digits: number): string {
  return figure.state === 'measured' ? figure.spread.median.toFixed(digits) : '-';
}

function showSize(bytes: number): string {
  if (bytes === 0) return 'no body';
  return bytes < 1_048_576 ? `${bytes / 1024} KiB` : `${bytes / 1_048_576} MiB`;
}

/** An empty answer has no place on the axis of sizes. */
function sizePlot(
  summary: Summary,
  answers: readonly Step[],
  name: string,
  label: string,
  reader: Reader,
): Plot {
  const steps = answers.filter((step) => step.number > 0);
  const arms = armsAt(summary, steps).filter((arm) => arm !== 'tracecar-aa');
  return ladderPlot(
    name,
    `${label}, by the size of the answer`,
    { label: 'bytes of the answer', log: true },
    { label, log: true },
    arms.map((arm) =>
      ladderSeries(summary.label(arm), steps, (point) => summary.figure(arm, point, reader)),
    ),
  );
}
