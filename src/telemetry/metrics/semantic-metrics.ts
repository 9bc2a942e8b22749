/**
 * `http.server.request.duration` and `http.client.request.duration` of semantic conventions 1.44
 * (reference/tracing.md 2.3): made of the cells of all series when they are asked for.
 *
 * A SERVER's point counts exchanges that came in, a CLIENT's attempts that went out, each like its
 * span: same status, same `error.type`, same duration. Names of attributes are those of
 * model/metric-names.ts; on a page for Prometheus their dots are underscores.
 */

import { metricAttributes, metricNames } from '../../model/metric-names.ts';
import type { Direction } from '../../model/routing-table.ts';
import { ExchangeRecord, RecordFlag, RecordKind } from '../record/exchange-record.ts';
import { methodNames } from '../span/method-names.ts';
import { type SpanOutcome, spanOutcome } from '../span/span-outcome.ts';
import { clusterPlace } from './cluster-place.ts';
import { type CountedSeries, DurationSum } from './duration-sum.ts';
import type { ExemplarBook } from './exemplars.ts';
import { type LabelPair, type MetricText, printLabels, type Steps } from './metric-text.ts';
import { type Outcome, outcomeOf, Part } from './request-cell.ts';

/** Of a point that stands for outcomes which had no room of their own. */
const OVERFLOW = 'otel.metric.overflow';

/** Requests with the same attributes. */
export interface DurationPoint {
  readonly direction: Direction;
  readonly attributes: readonly LabelPair[];
  readonly sum: DurationSum;
}

/** All points of both directions, inbound first. `known`: methods that may be named; undefined: all. */
export function durationPoints(
  all: Iterable<CountedSeries>,
  known: readonly string[] | undefined,
): readonly DurationPoint[] {
  const points = new Map<string, DurationPoint>();
  for (const series of all) {
    const { direction } = series.labels;
    for (const cell of series.cells) {
      const outcome = outcomeOf(cell.key);
      // Of an exchange with several attempts each of these is a CLIENT request.
      if (outcome.part === Part.Retried) continue;
      const attributes = attributesOf(series, outcome, known);
      const name = `${direction} ${attributes.map((pair) => pair.join('=')).join(' ')}`;
      const point = points.get(name) ?? { direction, attributes, sum: new DurationSum() };
      points.set(name, point);
      point.sum.add(series, cell);
    }
  }
  const made = [...points.values()];
  const of = (direction: Direction) => made.filter((point) => point.direction === direction);
  return [...of('inbound'), ...of('outbound')];
}

function attributesOf(
  { labels }: CountedSeries,
  outcome: Outcome,
  known: readonly string[] | undefined,
): readonly LabelPair[] {
  const { direction, cluster, route, rule, subset } = labels;
  const isServer = direction === 'inbound';
  const pairs: LabelPair[] = [];
  if (outcome.isOther) pairs.push([OVERFLOW, 'true']);
  else putOutcome(pairs, outcome, isServer, known);
  if (route !== '') pairs.push([metricAttributes.route, route]);
  if (isServer) return pairs;
  const place = clusterPlace(cluster);
  if (place !== undefined) {
    pairs.push([metricAttributes.serverAddress, place.host]);
    pairs.push([metricAttributes.serverPort, place.port]);
    pairs.push([metricAttributes.peerService, place.serviceName]);
  }
  if (rule !== '') pairs.push([metricAttributes.ruleId, rule]);
  if (subset !== '') pairs.push([metricAttributes.subset, subset]);
  return pairs;
}

function putOutcome(
  pairs: LabelPair[],
  outcome: Outcome,
  isServer: boolean,
  known: readonly string[] | undefined,
): void {
  const { statusCode, errorType } = endOf(outcome, isServer);
  pairs.push([metricAttributes.method, methodWord(outcome.method, known)]);
  if (statusCode !== 0) pairs.push([metricAttributes.status, statusCode]);
  if (errorType !== undefined) pairs.push([metricAttributes.errorType, errorType]);
  // A client that got no answer may never have connected.
  if (isServer || statusCode !== 0) {
    pairs.push([metricAttributes.protocolVersion, `1.${outcome.minorVersion}`]);
  }
  if (!isServer) return;
  const isSecure = (outcome.flags & RecordFlag.Tls) !== 0;
  pairs.push([metricAttributes.scheme, isSecure ? 'https' : 'http']);
}

/** As spans say it. */
export function methodWord(method: number, known: readonly string[] | undefined): string {
  const name = methodNames[method];
  return name !== undefined && (known === undefined || known.includes(name)) ? name : '_OTHER';
}

/** How a span of the request says that it ended. */
export function endOf(outcome: Outcome, isServer: boolean): SpanOutcome {
  const record = new ExchangeRecord();
  record.kind = isServer ? RecordKind.Server : RecordKind.Client;
  record.status = isServer ? outcome.status : outcome.spanStatus;
  record.causeCode = outcome.causeCode;
  record.flags = outcome.flags;
  record.firstByteUs = record.status === 0 ? -1 : 0;
  return spanOutcome(record);
}

/** Both families of a page. */
export function* addSemanticMetrics(
  text: MetricText,
  points: readonly DurationPoint[],
  exemplars: ExemplarBook,
): Steps {
  const families = [
    ['inbound', metricNames.serverDuration, 'Duration of HTTP server requests.'],
    ['outbound', metricNames.clientDuration, 'Duration of HTTP client requests, each attempt.'],
  ] as const;
  for (const [direction, metric, help] of families) {
    const name = `${metric.replaceAll('.', '_')}_seconds`;
    text.family(name, 'histogram', help, 'seconds');
    for (const point of points) {
      if (point.direction !== direction) continue;
      const pairs = point.attributes.map(
        ([key, value]) => [key.replaceAll('.', '_'), value] as const,
      );
      const { sum } = point;
      yield text.duration(name, printLabels(pairs), sum, 1_000_000, exemplars.find(sum.sources));
    }
  }
}
