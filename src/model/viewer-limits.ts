/**
 * Limits of the viewer, with their defaults: what it holds, and for how long.
 */

/** The built-in trace receiver and store. */
export interface ViewerLimits {
  /** A request to the receiver, compressed and after decompression (gzip bombs stop here). */
  readonly ingestBytesMax: number;
  readonly ingestDecodedBytesMax: number;
  /** Memory of the store as it estimates it; the oldest trace goes first. */
  readonly storeBytesMax: number;
  readonly spansPerTraceMax: number;
  readonly attributeBytesMax: number;
  readonly searchTracesMax: number;
  /** Attributes of a span that are indexed, events and links in it; later ones are not found. */
  readonly searchAttributesMax: number;
  /** JSON of spans that one search looks over, after the index has chosen them: bounds its time. */
  readonly searchReadBytesMax: number;
  /** JSON values and nesting of one ingest body: what parsing it may cost in memory. */
  readonly ingestValuesMax: number;
  readonly ingestDepthMax: number;
  /** Request bodies held at the same time, over all connections; more are told to come back. */
  readonly ingestHeldBytesMax: number;
  /** Of a span, a resource, an event or a link; the rest is counted as dropped. */
  readonly attributesMax: number;
  readonly eventsPerSpanMax: number;
  readonly linksPerSpanMax: number;
  /** A span or a resource as JSON, after its attributes were cut; a bigger one is refused. */
  readonly spanBytesMax: number;
  /**
   * One answer of the query API: whole traces are left out beyond it, and one trace that is bigger is
   * 413. Answers that wait for their readers, all together; and how long one may take to be read.
   */
  readonly answerBytesMax: number;
  readonly answersHeldBytesMax: number;
  readonly answerTimeoutMs: number;
  /** Subsets of a route that one comparison shows. */
  readonly abSubsetsMax: number;
  /** How many times as big as it came gzip may unpack to, beyond `ingestBytesMax`. */
  readonly ingestInflateRatioMax: number;
  /** A request head, and how long the head and the whole request may take. */
  readonly headBytesMax: number;
  readonly headTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** A kept connection between two requests: above the exporters' own schedules. */
  readonly keepAliveIdleMs: number;
  readonly connectionsMax: number;
  /**
   * Metrics: sets of caller, callee, route and subset whose counts of the last hour are kept (66 KB each
   * when all of it is full), streams of points that they are made from, and bytes of a point's attributes.
   */
  readonly metricRowsMax: number;
  readonly metricStreamsMax: number;
  readonly metricAttributesBytesMax: number;
  /** Calls under way on one gRPC connection; streams that a peer may reset at once, and each second. */
  readonly grpcStreamsMax: number;
  readonly grpcResetBurst: number;
  readonly grpcResetsPerSecond: number;
}

export const viewerLimits: ViewerLimits = Object.freeze({
  ingestBytesMax: 8 * 1024 * 1024,
  ingestDecodedBytesMax: 64 * 1024 * 1024,
  storeBytesMax: 256 * 1024 * 1024,
  spansPerTraceMax: 20_000,
  attributeBytesMax: 16 * 1024,
  searchTracesMax: 1_000,
  searchAttributesMax: 500,
  searchReadBytesMax: 64 * 1024 * 1024,
  ingestValuesMax: 2_000_000,
  ingestDepthMax: 64,
  ingestHeldBytesMax: 64 * 1024 * 1024,
  attributesMax: 256,
  eventsPerSpanMax: 128,
  linksPerSpanMax: 128,
  spanBytesMax: 256 * 1024,
  answerBytesMax: 32 * 1024 * 1024,
  answersHeldBytesMax: 64 * 1024 * 1024,
  answerTimeoutMs: 60_000,
  abSubsetsMax: 20,
  ingestInflateRatioMax: 100,
  headBytesMax: 32 * 1024,
  headTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  keepAliveIdleMs: 75_000,
  connectionsMax: 512,
  metricRowsMax: 2_000,
  metricStreamsMax: 20_000,
  metricAttributesBytesMax: 4_096,
  grpcStreamsMax: 100,
  grpcResetBurst: 100,
  grpcResetsPerSecond: 10,
});
