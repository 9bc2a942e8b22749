/**
 * A parsed OTLP metrics request to the points that the viewer counts: durations of HTTP requests.
 *
 * It trusts nothing and throws nothing. A point that cannot be counted is rejected alone; metrics of
 * other names are accepted and forgotten, since a sender cannot know what a receiver is for. Source:
 * opentelemetry-proto 1.9, metrics.proto.
 */

import { metricNames } from '../model/metric-names.ts';
import type { ViewerLimits } from '../model/viewer-limits.ts';
import { AttributeReader } from './attribute-reader.ts';
import { asObject, attributeText, type KeyValue, valueText } from './otlp-json.ts';

/** Requests with the same attributes, counted since `startMs`. */
export interface DurationPoint {
  readonly kind: 'server' | 'client';
  /** Text of each scalar attribute. */
  readonly attributes: ReadonlyMap<string, string>;
  /** The same for the same attributes of one sender. */
  readonly key: string;
  /** By the sender's clock, in milliseconds since the epoch: begin of counting, and now. */
  readonly startMs: number;
  readonly timeMs: number;
  /** Whether it counts since the point before instead of since the beginning. */
  readonly isDelta: boolean;
  /** Upper bounds in seconds, rising; one count more than bounds. */
  readonly boundsSeconds: readonly number[];
  readonly counts: readonly number[];
  readonly sumSeconds: number;
}

/** The points of one process; none is a report too: it lives, and has counted nothing yet. */
export interface PointGroup {
  readonly service: string;
  /** The whole resource as JSON: who sends. */
  readonly sender: string;
  readonly points: readonly DurationPoint[];
}

export type DecodedMetrics =
  | { readonly kind: 'malformed'; readonly message: string }
  | {
      readonly kind: 'points';
      readonly groups: readonly PointGroup[];
      readonly rejected: number;
      /** Why the first one was; empty when none was. */
      readonly reason: string;
    };

type Sent = Readonly<Record<string, unknown>>;

const boundsMax = 200;
const deltaTemporality = 1;
const temporalities: ReadonlyMap<unknown, number> = new Map<unknown, number>([
  [1, 1],
  [2, 2],
  ['AGGREGATION_TEMPORALITY_DELTA', 1],
  ['AGGREGATION_TEMPORALITY_CUMULATIVE', 2],
]);
const kinds: ReadonlyMap<unknown, 'server' | 'client'> = new Map([
  [metricNames.serverDuration, 'server' as const],
  [metricNames.clientDuration, 'client' as const],
]);
const secondsPer: ReadonlyMap<unknown, number> = new Map<unknown, number>([
  ['s', 1],
  ['ms', 0.001],
]);

/** Reads the body of an export request, already parsed. */
export function decodeMetrics(body: unknown, limits: ViewerLimits): DecodedMetrics {
  const list = listOf(asObject(body), 'resourceMetrics', 'resource_metrics');
  if (list === undefined) {
    const message = 'the body is not an object with a list "resourceMetrics"';
    return { kind: 'malformed', message };
  }
  const decoder = new Decoder(limits);
  for (const each of list) {
    if (!decoder.readResource(asObject(each))) {
      const message = 'an entry of "resourceMetrics" is not as OTLP has it';
      return { kind: 'malformed', message };
    }
  }
  const { groups, rejected, reason } = decoder;
  return { kind: 'points', groups, rejected, reason };
}

function listOf(
  object: Sent | undefined,
  name: string,
  otherName = name,
): readonly unknown[] | undefined {
  if (object === undefined) return undefined;
  const value = object[name] ?? object[otherName] ?? [];
  return Array.isArray(value) ? value : undefined;
}

class Decoder {
  readonly groups: PointGroup[] = [];
  rejected = 0;
  reason = '';
  readonly #limits: ViewerLimits;
  readonly #attributes: AttributeReader;

  constructor(limits: ViewerLimits) {
    this.#limits = limits;
    this.#attributes = new AttributeReader(limits);
  }

  readResource(entry: Sent | undefined): boolean {
    const scopes = listOf(entry, 'scopeMetrics', 'scope_metrics');
    if (entry === undefined || scopes === undefined) return false;
    this.#attributes.begin();
    const resource = this.#attributes.read(asObject(entry.resource)?.attributes);
    const points: DurationPoint[] = [];
    for (const each of scopes) {
      const metrics = listOf(asObject(each), 'metrics');
      if (metrics === undefined) return false;
      for (const metric of metrics) this.#readMetric(asObject(metric), points);
    }
    const service = attributeText(resource, 'service.name') ?? '';
    this.groups.push({ service, sender: JSON.stringify(resource ?? []), points });
    return true;
  }

  #readMetric(metric: Sent | undefined, points: DurationPoint[]): void {
    const kind = kinds.get(metric?.name);
    if (metric === undefined || kind === undefined) return;
    const histogram = asObject(metric.histogram);
    const list = listOf(histogram, 'dataPoints', 'data_points');
    const temporality = temporalities.get(
      histogram?.aggregationTemporality ?? histogram?.aggregation_temporality,
    );
    const unitSeconds = secondsPer.get(metric.unit ?? 's');
    if (list === undefined || temporality === undefined || unitSeconds === undefined) {
      this.#reject(1, `${metric.name} is not a histogram in s or ms with a temporality`);
      return;
    }
    for (const each of list) {
      const point = this.#readPoint(asObject(each), kind, temporality, unitSeconds);
      if (typeof point === 'string') this.#reject(1, point);
      else points.push(point);
    }
  }

  #reject(points: number, reason: string): void {
    this.rejected += points;
    if (this.reason === '') this.reason = reason;
  }

  /** The point, or the sentence why it is none. */
  #readPoint(
    sent: Sent | undefined,
    kind: 'server' | 'client',
    temporality: number,
    unitSeconds: number,
  ): DurationPoint | string {
    if (sent === undefined) return 'a point is not an object';
    const bounds = numbersOf(sent.explicitBounds ?? sent.explicit_bounds, boundsMax);
    const counts = numbersOf(sent.bucketCounts ?? sent.bucket_counts, boundsMax + 1);
    if (bounds === undefined || counts === undefined || counts.length !== bounds.length + 1) {
      return `bucketCounts are not one more than explicitBounds, of which there are at most ${boundsMax}`;
    }
    if (bounds.some((bound, index) => index > 0 && bound <= bounds[index - 1]!)) {
      return 'explicitBounds do not rise';
    }
    if (counts.some((count) => !Number.isInteger(count) || count < 0)) {
      return 'bucketCounts are not whole numbers';
    }
    this.#attributes.begin();
    const attributes = this.#attributes.read(sent.attributes) ?? [];
    const key = kind + JSON.stringify(attributes);
    if (key.length > this.#limits.metricAttributesBytesMax) {
      return `the attributes of a point are over ${this.#limits.metricAttributesBytesMax} bytes`;
    }
    return {
      kind,
      attributes: textsOf(attributes),
      key,
      startMs: millisecondsOf(sent.startTimeUnixNano ?? sent.start_time_unix_nano),
      timeMs: millisecondsOf(sent.timeUnixNano ?? sent.time_unix_nano),
      isDelta: temporality === deltaTemporality,
      boundsSeconds: bounds.map((bound) => bound * unitSeconds),
      counts,
      sumSeconds: finite(sent.sum) * unitSeconds,
    };
  }
}

/** At most `countMax` finite numbers, or 64-bit numbers as texts; undefined: it is something else. */
function numbersOf(sent: unknown, countMax: number): number[] | undefined {
  if (sent === undefined) return [];
  if (!Array.isArray(sent) || sent.length > countMax) return undefined;
  const numbers: number[] = [];
  for (const each of sent) {
    const number = typeof each === 'string' && /^\d{1,20}$/.test(each) ? Number(each) : each;
    if (typeof number !== 'number' || !Number.isFinite(number)) return undefined;
    numbers.push(number);
  }
  return numbers;
}

function finite(sent: unknown): number {
  return typeof sent === 'number' && Number.isFinite(sent) ? sent : 0;
}

function millisecondsOf(sent: unknown): number {
  const ns = typeof sent === 'string' && /^\d{1,20}$/.test(sent) ? Number(sent) : sent;
  return typeof ns === 'number' && Number.isFinite(ns) && ns >= 0 ? ns / 1e6 : 0;
}

function textsOf(attributes: readonly KeyValue[]): ReadonlyMap<string, string> {
  const texts = new Map<string, string>();
  for (const { key, value } of attributes) {
    const text = valueText(value);
    if (text !== undefined && !texts.has(key)) texts.set(key, text);
  }
  return texts;
}
