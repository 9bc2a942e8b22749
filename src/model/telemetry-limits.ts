/**
 * Limits of telemetry, with their defaults: records, spans, metrics, and traces kept after the fact.
 */

/** Records, spans and metrics. */
export interface TelemetryLimits {
  readonly recordRingBytes: number;
  readonly textRingBytes: number;
  /** Path, query, authority, user agent: each is cut here. */
  readonly recordTextBytesMax: number;
  /** How often the worker empties the ring. */
  readonly ringPollMs: number;
  /** OTEL_BSP_* defaults of the specification. */
  readonly spanQueueMax: number;
  readonly spanBatchMax: number;
  readonly exportDelayMs: number;
  readonly exportTimeoutMs: number;
  /** After the last record: how long shutdown may take. */
  readonly flushMs: number;
  /** Series of one metric family; the rest is counted under `other`. */
  readonly metricSeriesMax: number;
  /** Outcomes (status, method, cause) that are counted apart, in all series and in one of them. */
  readonly metricCellsMax: number;
  readonly metricCellsPerSeriesMax: number;
  /** The part of both that may be those of peers that have proved who they are. */
  readonly metricPeerCellsShare: number;
  /** Such peers that connections which are not read are counted by, of a direction. */
  readonly metricConnectionPeersMax: number;
  /** Statuses unknown to IANA that one series tells apart; the rest of these is `other`. */
  readonly metricOddStatusesMax: number;
  /** Zones of callees that bytes are counted for; the rest is the zone `other`. */
  readonly zonesMax: number;
  /** Authorization policies whose decisions are counted apart; the rest is `other`. */
  readonly policyCountsMax: number;
  /** Exported traces that buckets name, in all and of one batch of spans. */
  readonly exemplarsMax: number;
  readonly exemplarsPerBatchMax: number;
  /** How long a page of metrics waits for them. */
  readonly exemplarsWaitMs: number;
  /** For how long a collector that takes no metrics is not asked, and one that is away not told of. */
  readonly metricPauseMs: number;
  /** Names that records refer to by id; far above what one table holds. Later ones read as none. */
  readonly namesMax: number;
  /** Members of a tracestate: more is invalid (W3C trace-context 3.3.1). */
  readonly tracestateMembersMax: number;
  /** Sidecars that a request may pass (one call passes two: out and in); the next one answers 508. */
  readonly hopsMax: number;
  /** A request that has passed as many and been at one of them so often again goes round (508). */
  readonly loopHopsMin: number;
  readonly loopVisitsMin: number;
  /** A longer tracestate loses whole members (at most 514 a cut), so 1022 always survive; W3C: 512. */
  readonly tracestateBytesMax: number;
  /** Baggage that goes on, of all its fields (W3C baggage 3.3.2: at least as much); more is dropped whole. */
  readonly baggageMembersMax: number;
  readonly baggageBytesMax: number;
  /** Requests of callers outside the mesh that are sampled because they say so, a second. */
  readonly forcedSamplesPerSecond: number;
  /** Header values of open inbound requests that calls may be tied by; a power of two. */
  readonly openRequestsMax: number;
  /** Access log lines that wait for a slow reader of stdout; more are dropped and counted. */
  readonly accessLogHeldBytesMax: number;
  /** Memory of the spans that wait for a collector, whatever their number. */
  readonly spanQueueBytesMax: number;
  /** Until a span that was kept for what it is (not drawn at the head) leaves, alone if need be. */
  readonly keptDelayMs: number;
  /** Back-off after a failed export: the first, and the longest that doubling leads to. */
  readonly exportBackoffMs: number;
  readonly exportBackoffMsMax: number;
  /** A collector's Retry-After is heeded up to here. */
  readonly exportRetryAfterMsMax: number;
  /** A batch that failed as often is given up: some five minutes. */
  readonly exportAttemptsMax: number;
  /** Between two warnings about spans that were not delivered. */
  readonly exportWarningMs: number;
  /** Before a worker that died is started again. */
  readonly workerRestartMs: number;
  /** Heap of the worker: its queue of spans, one batch as JSON, and the libraries. */
  readonly workerHeapMiBMax: number;
  /** Between two exports of metrics: a comparison of subsets is watched while it runs. OTel: 60 000. */
  readonly metricIntervalMs: number;
  /** Header fields captured as attributes, of a message and kind of span. */
  readonly capturedHeadersMax: number;
  /** Of a value that a span carries of a header field, and of all of them: a record has 1 020 bytes. */
  readonly notedValueCharsMax: number;
  readonly notedCharsMax: number;
  /** Of what a failure was about, on its span and in the access log: beside it a record has room for little. */
  readonly failureDetailCharsMax: number;
  /**
   * Memory of what tables before the newest say of clusters, of rules, and of tags, each: whatever is
   * recalled from 30 s of history is to be named as it was.
   */
  readonly tableFactsBytesMax: number;
  /** What `--correlation-headers`, `--untraced-path` and `--peer` may name: each is looked through. */
  readonly correlationHeadersMax: number;
  readonly untracedPathsMax: number;
  readonly peerRangesMax: number;
}

export const telemetryLimits: TelemetryLimits = Object.freeze({
  recordRingBytes: 2_560 * 1024,
  textRingBytes: 2 * 1024 * 1024,
  recordTextBytesMax: 1_024,
  ringPollMs: 50,
  spanQueueMax: 2_048,
  spanBatchMax: 512,
  exportDelayMs: 5_000,
  exportTimeoutMs: 30_000,
  flushMs: 2_000,
  metricSeriesMax: 2_000,
  metricCellsMax: 2_000,
  metricCellsPerSeriesMax: 100,
  metricPeerCellsShare: 0.5,
  metricConnectionPeersMax: 100,
  metricOddStatusesMax: 16,
  zonesMax: 100,
  policyCountsMax: 1_000,
  exemplarsMax: 2_000,
  exemplarsPerBatchMax: 64,
  exemplarsWaitMs: 100,
  metricPauseMs: 600_000,
  namesMax: 100_000,
  tracestateMembersMax: 32,
  hopsMax: 64,
  loopHopsMin: 8,
  loopVisitsMin: 3,
  tracestateBytesMax: 1_536,
  baggageMembersMax: 64,
  baggageBytesMax: 8_192,
  forcedSamplesPerSecond: 100,
  openRequestsMax: 4_096,
  accessLogHeldBytesMax: 1024 * 1024,
  spanQueueBytesMax: 16 * 1024 * 1024,
  keptDelayMs: 500,
  exportBackoffMs: 1_000,
  exportBackoffMsMax: 30_000,
  exportRetryAfterMsMax: 60_000,
  exportAttemptsMax: 14,
  exportWarningMs: 60_000,
  workerRestartMs: 5_000,
  workerHeapMiBMax: 64,
  metricIntervalMs: 5_000,
  capturedHeadersMax: 16,
  notedValueCharsMax: 256,
  notedCharsMax: 960,
  failureDetailCharsMax: 600,
  tableFactsBytesMax: 4 * 1024 * 1024,
  correlationHeadersMax: 8,
  untracedPathsMax: 32,
  peerRangesMax: 64,
});

/** Traces that are kept after they have begun (docs/sampling.md). */
export interface KeepLimits {
  /** Defaults of settings: traces that one route may keep in a second for an error, for being slow. */
  readonly errorsPerSecond: number;
  readonly slowPerSecond: number;
  /** And the memory for records of traces that nobody has chosen. */
  readonly historyBytes: number;
  /** Slow is what takes that many times as long as 99 % of the route's requests. */
  readonly slowFactor: number;
  /** Requests that a route's percentile is learned from at least; fewer: nothing is slow. */
  readonly slowRequestsMin: number;
  /** A percentile is that of the last one to two of these. */
  readonly slowWindowMs: number;
  /** Between two looks at the percentiles, each of them at so many series. */
  readonly slowTurnMs: number;
  readonly slowSeriesPerTurn: number;
  /** A mark of a trace holds one to two times that: until the history that it asks for is gone. */
  readonly markMs: number;
  /** Marks of one such time; the oldest go for newer ones, counted. */
  readonly marksMax: number;
  /** How long records of traces that nobody has chosen are kept. */
  readonly historyMs: number;
  /** Ids in one keep message, and between two messages to one peer. */
  readonly messageIdsMax: number;
  readonly messageMs: number;
  /** Ids a second that this process takes from peers; more are refused (429). */
  readonly receivedIdsPerSecond: number;
  /** Peers with messages waiting, ids that wait for one of them, and how long an answer may take. */
  readonly peersMax: number;
  /** Peers of one address that have never answered well: with more, the eldest makes room for others. */
  readonly unprovenPeersMax: number;
  readonly waitingIdsMax: number;
  readonly answerMs: number;
}

export const keepLimits: KeepLimits = Object.freeze({
  errorsPerSecond: 20,
  slowPerSecond: 1,
  historyBytes: 8 * 1024 * 1024,
  slowFactor: 3,
  slowRequestsMin: 100,
  slowWindowMs: 60_000,
  slowTurnMs: 5_000,
  slowSeriesPerTurn: 50,
  markMs: 15_000,
  marksMax: 3_072,
  historyMs: 30_000,
  messageIdsMax: 100,
  messageMs: 100,
  receivedIdsPerSecond: 1_000,
  peersMax: 256,
  unprovenPeersMax: 8,
  waitingIdsMax: 1_000,
  answerMs: 1_000,
});
