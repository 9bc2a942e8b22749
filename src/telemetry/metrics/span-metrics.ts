/**
 * `traces_span_metrics_*`: what an OpenTelemetry Collector's spanmetrics connector makes of spans, made
 * of every request instead. Jaeger's Monitor tab reads it from Prometheus with no connector in between
 * (`jaeger_query.storage.metrics`, default namespace), and the figures are not those of a sample.
 */

import type { Direction } from '../../model/routing-table.ts';
import { type DurationSum, sumOf } from './duration-sum.ts';
import type { ExemplarBook } from './exemplars.ts';
import type { MetricIdentity } from './metric-identity.ts';
import { type MetricText, printLabels, type Steps } from './metric-text.ts';
import type { MetricRegistry } from './metrics.ts';
import { type Outcome, outcomeOf, Part } from './request-cell.ts';
import { endOf, methodWord } from './semantic-metrics.ts';

/** Both families. */
export function* addSpanMetrics(
  text: MetricText,
  registry: MetricRegistry,
  identity: MetricIdentity,
  exemplars: ExemplarBook,
): Steps {
  const points = spanPoints(registry, identity);
  const calls = 'traces_span_metrics_calls_total';
  text.family(calls, 'counter', 'Spans, exported or not, by name, kind and status.');
  for (const [labels, { count }] of points) yield text.sample(calls, labels, count);
  const duration = 'traces_span_metrics_duration_milliseconds';
  text.family(duration, 'histogram', 'Duration of these spans.');
  for (const [labels, point] of points) {
    yield text.duration(duration, labels, point, 1_000, exemplars.find(point.sources));
  }
}

function spanPoints(registry: MetricRegistry, identity: MetricIdentity): Map<string, DurationSum> {
  const points = new Map<string, DurationSum>();
  for (const series of registry.allSeries()) {
    const { direction } = series.labels;
    for (const cell of series.cells) {
      const outcome = outcomeOf(cell.key);
      if (outcome.part === Part.Retried) continue;
      sumOf(points, labelsOf(outcome, direction, identity)).add(series, cell);
    }
  }
  return points;
}

function labelsOf(outcome: Outcome, direction: Direction, identity: MetricIdentity): string {
  const isServer = direction === 'inbound';
  const isError = !outcome.isOther && endOf(outcome, isServer).isError;
  const method = methodWord(outcome.method, identity.knownMethods);
  return printLabels([
    ['service_name', identity.service],
    ['span_name', outcome.isOther ? 'other' : method === '_OTHER' ? 'HTTP' : method],
    ['span_kind', isServer ? 'SPAN_KIND_SERVER' : 'SPAN_KIND_CLIENT'],
    ['status_code', isError ? 'STATUS_CODE_ERROR' : 'STATUS_CODE_UNSET'],
  ]);
}
