/**
 * Subset against subset of one route, from the counters of the callers' sidecars: every request counts,
 * whatever is sampled. Spans are only examples: one pass over the newest ones finds those of all subsets.
 */

import { metricAttributes } from '../model/metric-names.ts';
import type { ViewerLimits } from '../model/viewer-limits.ts';
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
/** Newest spans of a subset among which exemplars are chosen. */
const candidatesMax = 500;
/** Spans that are looked at for the examples of all subsets together, and read, with their bytes. */
const spansLookedAtMax = 200_000;
const spansReadMax = 1_000;
const bytesReadMax = 16 * 1024 * 1024;
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

/**
 * The subsets of one route side by side. Of more than `abSubsetsMax` those with the most requests; the
 * others count into `share` and are said to be left out.
 */
export function compareSubsets(
  metrics: MetricStore,
  store: TraceStore,
  { route, seconds }: { readonly route: string; readonly seconds: number },
  limits: ViewerLimits,
): AbAnswer {
  const window = metrics.window(seconds);
  const counted = countSubsets(metrics, route, window);
  const all = counted.reduce((sum, { tally }) => sum + tally.requests, 0);
  const shown = counted
    .sort((one, other) => other.tally.requests - one.tally.requests)
    .slice(0, limits.abSubsetsMax)
    .sort((one, other) => (one.subset < other.subset ? -1 : 1));
  const examples = new ExampleSearch(store, route, metrics.slotStartUs(window.from));
  const found = examples.find(shown.map(({ subset }) => subset));
  return {
    route,
    seconds,
    untilUs: metrics.untilUs,
    leftOut: counted.length - shown.length,
    subsets: shown.map(
      ({ subset, rows, tally }, at): AbSubset => ({
        subset,
        ...figuresOf(tally, window.seconds),
        share: all === 0 ? null : tally.requests / all,
        statuses: [...tally.statuses]
          .map(([status, requests]) => ({ status, requests }))
          .sort((one, other) => other.requests - one.requests),
        buckets: Array.from(tally.buckets, (requests, bucket) => ({
          toMs: bucket < boundsSeconds.length ? boundsSeconds[bucket]! * 1000 : null,
          requests,
        })),
        ...stepsOf(rows, window, metrics),
        ...found[at]!,
      }),
    ),
  };
}

interface CountedSubset {
  readonly subset: string;
  readonly rows: MetricRow[];
  readonly tally: RequestTally;
}

/** Those that had requests in the window. */
function countSubsets(metrics: MetricStore, route: string, { from, to }: Window): CountedSubset[] {
  const subsets = new Map<string, CountedSubset>();
  for (const row of metrics.rows()) {
    if (row.kind !== 'client' || row.route !== route) continue;
    const { subset } = row;
    const known = subsets.get(subset) ?? { subset, rows: [], tally: new RequestTally() };
    subsets.set(subset, known);
    known.rows.push(row);
    row.addTo(known.tally, from, to);
  }
  return [...subsets.values()].filter(({ tally }) => tally.requests > 0);
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

interface Candidate {
  readonly row: number;
  readonly exemplar: Exemplar;
}

/** What is looked for, newest first. */
interface Wanted {
  readonly subset: string;
  readonly token: number;
  readonly candidates: Candidate[];
}

interface Examples {
  readonly weight: number | null;
  readonly exemplars: readonly Exemplar[];
}

/** CLIENT spans of one route by subset: errors first, then the slowest of the newest ones. */
class ExampleSearch {
  readonly #store: TraceStore;
  readonly #route: string;
  readonly #fromUs: number;
  readonly #cursor: RowCursor;
  #spansLeft = spansLookedAtMax;
  #readsLeft = spansReadMax;
  #bytesLeft = bytesReadMax;

  /** Of spans that began at `fromUs` or later. */
  constructor(store: TraceStore, route: string, fromUs: number) {
    this.#store = store;
    this.#route = route;
    this.#fromUs = fromUs;
    this.#cursor = new RowCursor(store.index.arena);
  }

  /** For each of the subsets, in their order. */
  find(subsets: readonly string[]): readonly Examples[] {
    const wanted = subsets.map((subset): Wanted => {
      return { subset, token: tokenOf(metricAttributes.subset, subset), candidates: [] };
    });
    this.#collect(wanted);
    return wanted.map((each) => this.#choose(each));
  }

  /** One pass over the newest spans, whatever the number of subsets. */
  #collect(wanted: readonly Wanted[]): void {
    const routeToken = tokenOf(metricAttributes.route, this.#route);
    const named = wanted.filter(({ subset }) => subset !== '');
    const nameless = wanted.find(({ subset }) => subset === '');
    const row = this.#cursor;
    let open = wanted.length;
    for (const trace of this.#store.newestFirst()) {
      if (open === 0 || this.#spansLeft <= 0) return;
      for (let more = row.first(trace); more; more = row.next()) {
        this.#spansLeft--;
        if (row.kind !== SpanKind.Client || row.startUs < this.#fromUs) continue;
        if (!row.hasToken(routeToken)) continue;
        const one = named.find(({ token }) => row.hasToken(token)) ?? nameless;
        if (one === undefined || one.candidates.length >= candidatesMax) continue;
        one.candidates.push({ row: row.address, exemplar: exemplarOf(trace.traceId, row) });
        if (one.candidates.length === candidatesMax) open--;
      }
    }
  }

  #choose({ subset, candidates }: Wanted): Examples {
    const [newest] = candidates;
    const span = newest === undefined ? undefined : this.#spanAt(newest.row);
    const weight = attributeText(span?.attributes, 'tracecar.weight');
    const best = candidates.sort(
      (one, other) =>
        Number(other.exemplar.isError) - Number(one.exemplar.isError) ||
        other.exemplar.durationUs - one.exemplar.durationUs,
    );
    const exemplars: Exemplar[] = [];
    // Tokens may collide, so few are read in vain; those of a stranger may all be.
    for (const { row, exemplar } of best.slice(0, 10 * exemplarsMax)) {
      if (exemplars.length >= exemplarsMax) break;
      if (this.#isOurs(this.#spanAt(row), subset)) exemplars.push(exemplar);
    }
    return { weight: weight === undefined ? null : Number(weight), exemplars };
  }

  /** Undefined: as many as may be read have been. */
  #spanAt(row: number): OtlpSpan | undefined {
    if (this.#readsLeft <= 0 || this.#bytesLeft <= 0) return undefined;
    this.#readsLeft--;
    this.#cursor.goTo(row);
    const json = this.#store.spanJson(this.#cursor);
    this.#bytesLeft -= json.length;
    return JSON.parse(Buffer.from(json).toString()) as OtlpSpan;
  }

  #isOurs(span: OtlpSpan | undefined, wanted: string): boolean {
    const { route, subset } = metricAttributes;
    return (
      span !== undefined &&
      attributeText(span.attributes, route) === this.#route &&
      (attributeText(span.attributes, subset) ?? '') === wanted
    );
  }
}

function exemplarOf(traceId: string, row: RowCursor): Exemplar {
  return {
    traceId,
    spanId: row.spanId,
    startUs: row.startUs,
    durationUs: row.durationNs / 1000,
    isError: row.status === statusError,
  };
}
