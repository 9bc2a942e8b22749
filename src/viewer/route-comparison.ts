/**
 * Subset against subset of one route, from the counters of the callers' sidecars: every request counts,
 * whatever is sampled. Spans are only examples.
 */

import { metricAttributes } from '../model/metric-names.ts';
import { tokenOf } from './attribute-tokens.ts';
import { type MetricRow, slotMs } from './metric-row.ts';
import type { MetricStore, Window } from './metric-store.ts';
import { attributeText, type OtlpSpan, SpanKind, statusError } from './otlp-json.ts';
import { boundsSeconds, figuresOf, percentileMs, RequestTally } from './request-tally.ts';
import { RowCursor } from './span-row.ts';
import type { TraceStore } from './trace-store.ts';
import type {
  AbAnswer,
  AbStep,
  AbSubset,
  Exemplar,
  RouteSummary,
  RoutesAnswer,
} from './view-answers.ts';

const exemplarsMax = 10;
/** Newest spans of a subset among which exemplars are chosen, and spans looked at for them. */
const candidatesMax = 500;
const spansLookedAtMax = 200_000;
/** Steps of a chart: a step is the least whole number of slots for which these suffice. */
const stepsMax = 60;

/** Every route that had requests in the window, by name. */
export function listRoutes(metrics: MetricStore, seconds: number): RoutesAnswer {
  const window = metrics.window(seconds);
  const routes = new Map<string, { readonly rows: MetricRow[]; readonly tally: RequestTally }>();
  for (const row of metrics.rows()) {
    if (row.kind !== 'client' || row.route === '') continue;
    const tally = row.tally(window.from, window.to);
    if (tally.requests === 0) continue;
    const known = routes.get(row.route) ?? { rows: [], tally: new RequestTally() };
    routes.set(row.route, known);
    known.rows.push(row);
    known.tally.add(tally);
  }
  const list = [...routes].map(([route, { rows, tally }]): RouteSummary => {
    const { requests, ratePerSecond, errorShare } = figuresOf(tally, window.seconds);
    return {
      route,
      callers: namesOf(rows, 'service'),
      peers: namesOf(rows, 'peer'),
      subsets: namesOf(rows, 'subset'),
      requests,
      ratePerSecond,
      errorShare,
    };
  });
  list.sort((one, other) => (one.route < other.route ? -1 : 1));
  return { seconds, routes: list };
}

function namesOf(rows: readonly MetricRow[], part: 'service' | 'peer' | 'subset'): string[] {
  return [...new Set(rows.map((row) => row[part]))].sort();
}

/** The subsets of one route side by side. */
export function compareSubsets(
  metrics: MetricStore,
  store: TraceStore,
  { route, seconds }: { readonly route: string; readonly seconds: number },
): AbAnswer {
  const window = metrics.window(seconds);
  const rows = [...metrics.rows()].filter((row) => row.kind === 'client' && row.route === route);
  const subsets = namesOf(rows, 'subset').map((subset) => {
    const own = rows.filter((row) => row.subset === subset);
    const tally = new RequestTally();
    for (const row of own) row.addTo(tally, window.from, window.to);
    return { subset, own, tally };
  });
  const counted = subsets.filter(({ tally }) => tally.requests > 0);
  const all = counted.reduce((sum, { tally }) => sum + tally.requests, 0);
  return {
    route,
    seconds,
    untilUs: metrics.untilUs,
    subsets: counted.map(
      ({ subset, own, tally }): AbSubset => ({
        subset,
        ...figuresOf(tally, window.seconds),
        share: all === 0 ? null : tally.requests / all,
        statuses: [...tally.statuses]
          .map(([status, requests]) => ({ status, requests }))
          .sort((one, other) => other.requests - one.requests),
        buckets: Array.from(tally.buckets, (requests, at) => ({
          toMs: at < boundsSeconds.length ? boundsSeconds[at]! * 1000 : null,
          requests,
        })),
        ...stepsOf(own, window, metrics),
        ...new ExampleSearch(store, route, subset).result(),
      }),
    ),
  };
}

function stepsOf(
  rows: readonly MetricRow[],
  { from, to }: Window,
  metrics: MetricStore,
): { readonly stepSeconds: number; readonly steps: readonly AbStep[] } {
  const slots = Math.ceil((to - from) / stepsMax);
  const steps: AbStep[] = [];
  for (let start = from; start < to; start += slots) {
    const tally = new RequestTally();
    for (const row of rows) row.addTo(tally, start, Math.min(start + slots, to));
    steps.push({
      startUs: metrics.slotStartUs(start),
      requests: tally.requests,
      errors: tally.errors,
      p95Ms: percentileMs(tally.buckets, 0.95),
    });
  }
  return { stepSeconds: (slots * slotMs) / 1000, steps };
}

/** CLIENT spans of one route and subset: errors first, then the slowest of the newest ones. */
class ExampleSearch {
  readonly #store: TraceStore;
  readonly #route: string;
  readonly #subset: string;
  readonly #cursor: RowCursor;
  #parsesLeft = 10 * exemplarsMax;

  constructor(store: TraceStore, route: string, subset: string) {
    this.#store = store;
    this.#route = route;
    this.#subset = subset;
    this.#cursor = new RowCursor(store.index.arena);
  }

  result(): { readonly weight: number | null; readonly exemplars: readonly Exemplar[] } {
    const candidates = this.#candidates();
    const [newest] = candidates;
    const weight = newest === undefined ? undefined : this.#spanAt(newest.row);
    const weightText = attributeText(weight?.attributes, 'tracecar.weight');
    const best = candidates.sort(
      (one, other) =>
        Number(other.exemplar.isError) - Number(one.exemplar.isError) ||
        other.exemplar.durationUs - one.exemplar.durationUs,
    );
    const exemplars: Exemplar[] = [];
    for (const { row, exemplar } of best) {
      if (exemplars.length >= exemplarsMax || this.#parsesLeft <= 0) break;
      if (this.#isOurs(this.#spanAt(row))) exemplars.push(exemplar);
    }
    return { weight: weightText === undefined ? null : Number(weightText), exemplars };
  }

  #candidates(): { readonly row: number; readonly exemplar: Exemplar }[] {
    const routeToken = tokenOf(metricAttributes.route, this.#route);
    const subsetToken = tokenOf(metricAttributes.subset, this.#subset);
    const row = this.#cursor;
    const found: { readonly row: number; readonly exemplar: Exemplar }[] = [];
    let spansLeft = spansLookedAtMax;
    for (const trace of this.#store.newestFirst()) {
      if (found.length >= candidatesMax || spansLeft <= 0) break;
      for (let more = row.first(trace); more; more = row.next()) {
        spansLeft--;
        if (row.kind !== SpanKind.Client || !row.hasToken(routeToken)) continue;
        if (this.#subset !== '' && !row.hasToken(subsetToken)) continue;
        const exemplar = {
          traceId: trace.traceId,
          spanId: row.spanId,
          startUs: row.startUs,
          durationUs: row.durationNs / 1000,
          isError: row.status === statusError,
        };
        found.push({ row: row.address, exemplar });
      }
    }
    return found;
  }

  #spanAt(row: number): OtlpSpan {
    this.#parsesLeft--;
    this.#cursor.goTo(row);
    return JSON.parse(Buffer.from(this.#store.spanJson(this.#cursor)).toString()) as OtlpSpan;
  }

  #isOurs({ attributes }: OtlpSpan): boolean {
    const { route, subset } = metricAttributes;
    return (
      attributeText(attributes, route) === this.#route &&
      (attributeText(attributes, subset) ?? '') === this.#subset
    );
  }
}
