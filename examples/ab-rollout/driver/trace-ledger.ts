/**
 * Which requests have their whole trace in the viewer: asked through Jaeger's query API v3.
 *
 * Requests are kept in slices of time, and a slice is asked for again until each of its requests has
 * its five spans. It gives up when nothing new has arrived for a while, so it always ends.
 */

import { setTimeout as pause } from 'node:timers/promises';
import { judgeTrace, spansByTrace, type TracesReply, type TraceVerdict } from './trace-check.ts';

/** Requests a slice: a reply stays a few megabytes. */
const sliceRequests = 200;
/** Clocks of two processes on one machine agree better than this. */
const marginMs = 50;
const pollMs = 100;
const patienceMs = 10_000;

interface Slice {
  fromMs: number;
  toMs: number;
  readonly waiting: Set<string>;
}

export interface LedgerCounts {
  readonly wrongParents: number;
  /** For each of the first incomplete requests, what the viewer holds of it. */
  readonly gaps: readonly string[];
}

export class TraceLedger {
  readonly #viewer: string;
  #slices: Slice[] = [];
  readonly #complete = new Map<string, string>();
  /** Of the complete traces: hops at which both ends had verified who was at the other. */
  verifiedHops = 0;

  /** `viewer` is the address of the query API, `http://127.0.0.1:16686`. */
  constructor(viewer: string) {
    this.#viewer = viewer;
  }

  /** Requests whose five spans are all there. */
  get completeCount(): number {
    return this.#complete.size;
  }

  /** The trace of a request whose spans are all there. */
  traceOf(requestId: string): string | undefined {
    return this.#complete.get(requestId);
  }

  /** Notes a request that was sent at `startMs` (epoch) and answered just now. */
  note(requestId: string, startMs: number): void {
    let slice = this.#slices.at(-1);
    if (slice === undefined || slice.waiting.size >= sliceRequests) {
      slice = { fromMs: startMs, toMs: startMs, waiting: new Set() };
      this.#slices.push(slice);
    }
    slice.waiting.add(requestId);
    slice.fromMs = Math.min(slice.fromMs, startMs);
    slice.toMs = Math.max(slice.toMs, Date.now());
  }

  /** Asks until every noted request is complete or nothing new comes; then forgets the slices. */
  async settle(): Promise<LedgerCounts> {
    let lastNews = performance.now();
    let known = this.#complete.size;
    for (;;) {
      for (const slice of this.#slices) await this.#ask(slice);
      this.#slices = this.#slices.filter(({ waiting }) => waiting.size > 0);
      if (this.#slices.length === 0) break;
      if (this.#complete.size > known) lastNews = performance.now();
      known = this.#complete.size;
      if (performance.now() - lastNews > patienceMs) break;
      await pause(pollMs);
    }
    const strays = await this.#strays();
    this.#slices = [];
    return {
      wrongParents: strays.reduce((sum, each) => sum + each.verdict.wrongParents, 0),
      gaps: strays.slice(0, 5).map(({ text }) => text),
    };
  }

  async #ask(slice: Slice): Promise<void> {
    for (const spans of (await this.#search('web', slice)).values()) {
      const verdict: TraceVerdict = judgeTrace(spans);
      if (!verdict.isComplete || !slice.waiting.has(verdict.requestId)) continue;
      slice.waiting.delete(verdict.requestId);
      this.#complete.set(verdict.requestId, verdict.traceId);
      this.verifiedHops += verdict.verifiedHops;
    }
  }

  /** What there is of the requests without a whole trace, wherever it was joined to. */
  async #strays(): Promise<{ verdict: TraceVerdict; text: string }[]> {
    const strays = new Map<string, { verdict: TraceVerdict; text: string }>();
    for (const slice of this.#slices) {
      for (const service of ['web', 'reviews', 'ratings']) {
        for (const [traceId, spans] of await this.#search(service, slice)) {
          const verdict = judgeTrace(spans);
          if (verdict.isComplete) continue;
          const roles = spans.map((span) => `${span.kind} ${span.service} (${span.requestId})`);
          strays.set(traceId, {
            verdict,
            text: `trace ${traceId} is not whole: ${roles.sort().join(', ')}`,
          });
        }
      }
    }
    return [...strays.values()];
  }

  async #search(service: string, slice: Slice) {
    const query = new URLSearchParams({
      'query.service_name': service,
      'query.start_time_min': new Date(slice.fromMs - marginMs).toISOString(),
      'query.start_time_max': new Date(slice.toMs + marginMs).toISOString(),
      'query.search_depth': '1000',
    });
    const response = await fetch(`${this.#viewer}/api/v3/traces?${query}`);
    // Jaeger answers 404 when nothing was found.
    if (response.status === 404) return spansByTrace({});
    if (!response.ok) throw new Error(`the viewer answered ${response.status} to a search`);
    return spansByTrace((await response.json()) as TracesReply);
  }
}
