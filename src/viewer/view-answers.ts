/**
 * What `GET /api/view/...` answers: the types that the server writes and the page reads.
 *
 * JSON, UTF-8, status 200; a mistake in a parameter is 400 and a route or service that nobody has
 * sent is an empty answer, never a 404. Errors have the shape of the query API:
 * `{"error":{"httpCode":400,"message":"..."}}`. Traces themselves come from `/api/v3/traces/ID`.
 * Times: microseconds since the epoch end in `Us`, durations say their unit. All texts come from
 * strangers. Numbers that cannot be known are null.
 */

/**
 * `/api/view/search?service&operation&tags&min&max&error&limit&before`, newest arrival first.
 *
 * `tags`: words `key=value`, a blank between, `"` around a value with blanks; all must hold on one
 * span, special words as in API v3 (`error=true`, `span.kind=client`). `min`, `max`: durations of
 * that span such as `1.5ms`. `error=true`: the trace has an error. `limit`: 1 to 1000, 50 if absent.
 * `before`: `next` of the page before.
 */
export interface SearchAnswer {
  readonly traces: readonly TraceSummary[];
  /** Whether an older one may be found with `before=next`. */
  readonly more: boolean;
  readonly next: number;
}

export interface TraceSummary {
  /** 32 lower-case hex digits. */
  readonly id: string;
  /** Of the root, or of the earliest span when there is none. */
  readonly service: string;
  readonly name: string;
  /** Of the earliest span; to the end of the last one. */
  readonly startUs: number;
  readonly durationUs: number;
  readonly spans: number;
  readonly errors: number;
  /** With how many spans each has, in order of arrival. */
  readonly services: readonly ServiceSpans[];
  /** Whether its root has come; else it may still be on its way. */
  readonly hasRoot: boolean;
}

export interface ServiceSpans {
  readonly service: string;
  readonly spans: number;
}

/** `/api/view/services`: what the search form offers, by name. */
export interface ServicesAnswer {
  readonly services: readonly ServiceOperations[];
}

export interface ServiceOperations {
  readonly service: string;
  /** Names of spans, by name, each once. */
  readonly operations: readonly string[];
}

/** `/api/view/routes?seconds`: routes that sidecars counted requests of, by name. */
export interface RoutesAnswer {
  readonly seconds: number;
  readonly routes: readonly RouteSummary[];
}

export interface RouteSummary {
  readonly route: string;
  /** Who calls by it, and whom; each by name. */
  readonly callers: readonly string[];
  readonly peers: readonly string[];
  /** By name; '' where the rule names none. A route with one is no A/B. */
  readonly subsets: readonly string[];
  readonly requests: number;
  readonly ratePerSecond: number;
  readonly errorShare: number | null;
}

/**
 * `/api/view/ab?route&seconds`: the subsets of one route side by side, from the counters of the
 * sidecars (never from spans, which are sampled). `seconds`: 5 to 3600, 300 if absent.
 */
export interface AbAnswer {
  readonly route: string;
  readonly seconds: number;
  /** End of the newest counts; null: none came yet. */
  readonly untilUs: number | null;
  /** By subset's name: at most `abSubsetsMax`, those with the most requests. */
  readonly subsets: readonly AbSubset[];
  /** Subsets with requests beyond those; they count into `share`. */
  readonly leftOut: number;
}

export interface AbSubset extends RequestFigures {
  readonly subset: string;
  /** Of the requests of all subsets, 0 to 1; null without any. */
  readonly share: number | null;
  /** Of its newest exported span, percent; null: none was exported. */
  readonly weight: number | null;
  /** By status, the most frequent first; '' = nothing was received. */
  readonly statuses: readonly { readonly status: string; readonly requests: number }[];
  /** In order; the last one has no upper bound. */
  readonly buckets: readonly LatencyBucket[];
  /** Oldest first, one each `stepSeconds`, without gaps: empty ones have 0 requests. */
  readonly stepSeconds: number;
  readonly steps: readonly AbStep[];
  /** Exported spans of it that began in this time: errors first, then the slowest; at most 10. */
  readonly exemplars: readonly Exemplar[];
}

/** From counters and histograms; a percentile is interpolated in its bucket. */
export interface RequestFigures {
  readonly requests: number;
  readonly ratePerSecond: number;
  /** Status 5xx, or no whole answer (reset, timeout, refused...). */
  readonly errors: number;
  /** Status 4xx: not in `errors`. */
  readonly clientErrors: number;
  /** 0 to 1, with Wilson's interval of 95 %; null without requests. */
  readonly errorShare: number | null;
  readonly errorShareLow: number | null;
  readonly errorShareHigh: number | null;
  readonly p50Ms: number | null;
  readonly p95Ms: number | null;
  readonly p99Ms: number | null;
  readonly meanMs: number | null;
}

export interface LatencyBucket {
  /** Upper bound, included; null: none. */
  readonly toMs: number | null;
  readonly requests: number;
}

export interface AbStep {
  readonly startUs: number;
  readonly requests: number;
  readonly errors: number;
  readonly p95Ms: number | null;
}

export interface Exemplar {
  readonly traceId: string;
  readonly spanId: string;
  readonly startUs: number;
  readonly durationUs: number;
  readonly isError: boolean;
}

/** `/api/view/graph?seconds`: who calls whom. `seconds`: 5 to 3600, 60 if absent. */
export interface GraphAnswer {
  readonly seconds: number;
  readonly untilUs: number | null;
  /** By name. */
  readonly nodes: readonly GraphNode[];
  /** By `from`, then `to`. */
  readonly edges: readonly GraphEdge[];
}

/** Requests that the service answered, by its own sidecar; 0 when it has none. */
export interface GraphNode extends RequestFigures {
  readonly service: string;
}

/** Requests of `from` to `to`, by the sidecar of `from`. */
export interface GraphEdge extends RequestFigures {
  readonly from: string;
  readonly to: string;
  /**
   * `counters`: every request is counted. `spans`: only spans say so, and `requests` are those in
   * the store: sampled, so no rate is given (0) and percentiles are null.
   */
  readonly source: 'counters' | 'spans';
}

/** `/api/view/status`: what was taken and dropped since start. */
export interface StatusAnswer {
  readonly uptimeSeconds: number;
  readonly version: string;
  readonly receiver: ReceiverFigures;
  readonly store: StoreFigures;
  readonly metrics: MetricFigures;
}

export interface ReceiverFigures {
  readonly requests: number;
  readonly refusedRequests: number;
  readonly acceptedSpans: number;
  readonly rejectedSpans: number;
  readonly acceptedPoints: number;
  readonly rejectedPoints: number;
}

export interface StoreFigures {
  readonly traces: number;
  readonly spans: number;
  /** Estimated memory, at most `bytesMax`. */
  readonly bytes: number;
  readonly bytesMax: number;
  readonly evictedTraces: number;
  readonly evictedSpans: number;
  readonly repeatedSpans: number;
  readonly overflowSpans: number;
  /** '' in memory only, else the file; what is wrong with it, '' when nothing is. */
  readonly file: string;
  readonly problem: string;
}

export interface MetricFigures {
  /** Sets of attributes that are kept, at most `rowsMax`; points beyond are counted here. */
  readonly rows: number;
  readonly rowsMax: number;
  readonly overflowPoints: number;
}
