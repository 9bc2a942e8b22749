/**
 * What is said about Istio's ladder: added latency by connections beside Istio's own figures.
 *
 * Pure: a summary in, a section out. Istio's figures stand in rows that say so; no ratio is taken with
 * them, because they are of another machine, of two sidecars, and with mutual TLS.
 */

import type { Plot, Section, Table } from '../draw/section.ts';
import { percentile } from '../result/read.ts';
import { type Figure, read, type Summary } from '../result/summary.ts';
import { bandAroundZero, judgeDifference } from '../result/verdict.ts';
import { type IstioStep, istioPlain, istioSource, istioStats } from './istio-figures.ts';
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

/** In the order of the tables; the second one is the same as the first, for the noise. */
export const connectionArms = [
  'tracecar',
  'tracecar-aa',
  'tracecar-100',
  'tracecar-off',
  'envoy',
  'envoy-otel',
] as const;

export function connectionsPoint(count: number): string {
  return `connections=${count}`;
}

const heading = ['arm', 'connections'] as const;
const percentiles = [
  { name: 'p50', share: 0.5 },
  { name: 'p90', share: 0.9 },
  { name: 'p99', share: 0.99 },
] as const;
type Percentile = (typeof percentiles)[number];

/** With telemetry, and the same without it. */
const telemetryPairs = [
  { on: 'tracecar', off: 'tracecar-off' },
  { on: 'tracecar-100', off: 'tracecar-off' },
  { on: 'envoy-otel', off: 'envoy' },
] as const;

const plainLabel = 'published: Istio, two sidecars and mTLS, telemetry off';
const statsLabel = 'published: Istio, two sidecars and mTLS, default metrics';
const pairLabel = "published: Istio's two sidecars, default metrics over none";

const text = [
  'Tracecar and Envoy: one sidecar in clear text, one core, measured in the same rounds; independent ' +
    'callers (Poisson arrivals), latency from the time a request was due, less that of the same calls ' +
    'without a proxy in the same round.',
  'The rows "published" are facts from elsewhere and comparable in their shape only: ' +
    `${istioSource}; two sidecars with mutual TLS between them, two workers each, fortio for 240 s, ` +
    'its metrics without spans.',
];

export function reportConnections(summary: Summary): Section {
  const steps = stepsOf(summary, 'connections');
  const arms = armsAt(summary, steps).filter((arm) => !arm.startsWith('direct'));
  return {
    title: summary.result.title,
    text,
    tables: [
      ...percentiles.map((each) => addedTable(summary, steps, arms, each)),
      telemetryTable(summary, steps, arms),
      cpuTable(summary, steps, arms),
    ],
    plots: [percentiles[0], percentiles[2]].map((each) => addedPlot(summary, steps, arms, each)),
  };
}

function addedTable(
  summary: Summary,
  steps: readonly Step[],
  arms: readonly string[],
  { name, share }: Percentile,
): Table {
  return ladderTable(
    `Added ${name} at 1000/s, us`,
    heading,
    steps,
    [
      ...arms.map((arm) =>
        figureRow(summary.label(arm), 0, (point) => summary.added(arm, point, share)),
      ),
      { label: 'Tracecar x Envoy', cell: ({ point }) => timesOf(summary, point, share) },
      figureRow('Tracecar less Envoy, us', 0, (point) =>
        summary.difference('tracecar', 'envoy', point, percentile(share)),
      ),
      {
        label: 'band of two identical copies, us',
        cell: ({ point }) => bandOf(summary, point, share),
      },
      { label: 'Tracecar beside Envoy', cell: ({ point }) => verdictOf(summary, point, share) },
      publishedRow(plainLabel, (connections) => stepOf(istioPlain, connections)?.[name]),
      publishedRow(statsLabel, (connections) => stepOf(istioStats, connections)?.[name]),
    ],
    share === 0.99 ? [verdictNote] : [],
  );
}

/** Of the medians; '-' where Envoy adds no more than noise. Of one direct arm there is no noise to know. */
function timesOf(summary: Summary, point: string, share: number): string {
  const isKnown = summary.directNoise(point, share).state === 'measured';
  const isAdded = summary.added('envoy', point, share).state === 'measured';
  if (!isKnown && isAdded) return 'noise unknown';
  return summary.addedTimes('tracecar', 'envoy', point, share)?.toFixed(2) ?? '-';
}

/** The second Tracecar less the first, in the same rounds. */
function identicalDifference(summary: Summary, point: string, share: number): Figure {
  return summary.difference('tracecar-aa', 'tracecar', point, percentile(share));
}

function bandOf(summary: Summary, point: string, share: number): string {
  const band = bandAroundZero(identicalDifference(summary, point, share));
  return band === undefined ? '-' : `+-${band.most.toFixed(0)}`;
}

/** The difference in us, against that of the two identical copies; a ratio of differences means less. */
function verdictOf(summary: Summary, point: string, share: number): string {
  const verdict = judgeDifference(
    summary.difference('tracecar', 'envoy', point, percentile(share)),
    identicalDifference(summary, point, share),
    summary.band(point, percentile(share)),
  );
  return verdict === 'absent' ? '-' : verdict;
}

const verdictNote =
  'Verdicts are on differences in us of the same rounds, against the band that is printed: how far apart two ' +
  'identical copies are, whichever of them is above. "lower", "higher": the whole interval lies outside it; ' +
  '"no difference": wholly inside, where the copies differ by no more than 25 % of the latency; else ' +
  '"open". Tracecar x Envoy is the ratio of the medians, "-" where Envoy adds no more than two direct ' +
  'arms differ by; with one direct arm a round that is not known, and there is no ratio.';

function telemetryTable(summary: Summary, steps: readonly Step[], arms: readonly string[]): Table {
  const pairs = telemetryPairs.filter(({ on, off }) => arms.includes(on) && arms.includes(off));
  const rows = [percentiles[0], percentiles[2]].flatMap(({ name, share }) => [
    ...pairs.map(({ on, off }) =>
      figureRow(`${name}: ${summary.label(on)}, over ${summary.label(off)}`, 0, (point) =>
        summary.difference(on, off, point, percentile(share)),
      ),
    ),
    publishedRow(`${name}: ${pairLabel}`, (connections) => {
      const stats = stepOf(istioStats, connections);
      const plain = stepOf(istioPlain, connections);
      return stats === undefined || plain === undefined ? undefined : stats[name] - plain[name];
    }),
  ]);
  return ladderTable('What telemetry adds to the latency, us', ['', 'connections'], steps, rows);
}

function cpuTable(summary: Summary, steps: readonly Step[], arms: readonly string[]): Table {
  const milliCores = (list: readonly IstioStep[], connections: number) =>
    stepOf(list, connections)?.milliCores.join(' / ');
  return ladderTable(
    'CPU us/request at 1000/s, all threads',
    heading,
    steps,
    [
      ...arms.map((arm) =>
        figureRow(summary.label(arm), 1, (point) =>
          summary.figure(arm, point, read.cpuUsPerRequest),
        ),
      ),
      publishedRow(plainLabel, (connections) => milliCores(istioPlain, connections)),
      publishedRow(statsLabel, (connections) => milliCores(istioStats, connections)),
    ],
    [
      "Istio's two figures are of the caller's sidecar and of the other one, in thousandths of a core, " +
        'which at 1000/s is us a request. At this rate a proxy goes to sleep and wakes up for almost ' +
        'every request: at saturation one costs less.',
    ],
  );
}

function publishedRow(
  label: string,
  find: (connections: number) => number | string | undefined,
): LadderRow {
  return { label, cell: ({ number }) => String(find(number) ?? '-') };
}

function stepOf(list: readonly IstioStep[], connections: number): IstioStep | undefined {
  return list.find((each) => each.connections === connections);
}

function addedPlot(
  summary: Summary,
  steps: readonly Step[],
  arms: readonly string[],
  { name, share }: Percentile,
): Plot {
  const drawn = arms.filter((arm) => arm !== 'tracecar-aa');
  return ladderPlot(
    `connections-${name}`,
    `Added ${name} by connections, 1000 requests a second of 1 KB`,
    { label: 'connections', log: true },
    { label: 'us over direct', from: 0 },
    drawn.map((arm) =>
      ladderSeries(summary.label(arm), steps, (point) => summary.added(arm, point, share)),
    ),
  );
}
