/**
 * Every limit of the data plane and of the built-in receiver, with its default and its reason.
 *
 * Units come last in a name. `assertLimits` checks how they must relate and runs at start. Sources:
 * reference/reliability.md section 5 unless a line says otherwise.
 */

import { assert } from '../base/assert.ts';

/** One connection and one message. */
export interface TrafficLimits {
  /** Start line and fields of one head. Envoy allows 60 KiB, HAProxy 15, Node.js 16. */
  readonly headBytesMax: number;
  readonly headFieldsMax: number;
  /** A field name; longer ones are attacks. */
  readonly fieldNameBytesMax: number;
  /** All values of Connection together: looking up what it names is what makes a long one dear. */
  readonly connectionBytesMax: number;
  /** Request-target; more is 414. */
  readonly targetBytesMax: number;
  /** Extensions of one chunk, and of all chunks of one message. They are dropped. */
  readonly chunkExtensionBytesMax: number;
  readonly messageExtensionBytesMax: number;
  readonly trailerBytesMax: number;
  readonly trailerFieldsMax: number;
  /** Interim (1xx) responses relayed before the final one. */
  readonly interimResponsesMax: number;
  /** Bytes held for one direction of one exchange: reading stops at half, a read brings the rest. */
  readonly heldBytesMax: number;
  /** From the first byte of a request head to its end; and silence before it on a new connection. */
  readonly headTimeoutMs: number;
  /** Between two requests on a kept downstream connection. */
  readonly keepAliveIdleMs: number;
  /** A body that makes no progress at all. */
  readonly bodyIdleMs: number;
  /** A body below `bodyRateBytesPerSecondMin` over this window is cut with 408. */
  readonly bodyRateWindowMs: number;
  readonly bodyRateBytesPerSecondMin: number;
  /**
   * TCP connect to an upstream endpoint, where nobody has set one: a kernel sends a lost SYN, or one
   * that met a full accept queue, again after 1, 3 and 7 s, and without us the caller would wait.
   */
  readonly connectTimeoutMs: number;
  /** To one that is left for another when it does not answer. */
  readonly connectElsewhereMs: number;
  /** To the own application. */
  readonly connectLocalTimeoutMs: number;
  /** From the first byte of a response head to its end. */
  readonly responseHeadTimeoutMs: number;
  /** No byte either way on an exchange under way. */
  readonly streamIdleMs: number;
  /** An idle upstream connection; below Node.js servers' own 5 s. */
  readonly poolIdleMs: number;
  readonly poolIdlePerEndpointMax: number;
  /**
   * Requests under way to one endpoint, and waiting for one. More is `overflow`. Nobody has asked for a
   * limit, so neither is met before that of connections.
   */
  readonly inFlightPerEndpointMax: number;
  readonly pendingPerClusterMax: number;
  /** Open downstream connections of the process; more are closed at accept. */
  readonly connectionsMax: number;
  /** Open connections that the admin page lists: making the list holds traffic up. */
  readonly connectionsShownMax: number;
  /** How long `accept` pauses when the process has no descriptor left. */
  readonly acceptPauseMs: number;
  /** After SIGTERM: the whole time that work under way may take. */
  readonly drainMs: number;
  /**
   * The first part of it, in which callers still come because endpoint lists follow late. It is kept
   * whole, however quiet it is: nobody can tell that the last list has followed.
   */
  readonly drainListenMs: number;
  /** The application may reach others until it has done nothing for this long, its callers gone. */
  readonly drainQuietMs: number;
  /** After an answer that ends a connection: how long the peer's unread bytes are drained. */
  readonly lingerMs: number;
  /** Retries may be this share of the requests plus this many a second. */
  readonly retryRatio: number;
  readonly retriesPerSecond: number;
  /** While draining, a kept connection is closed when it has been idle this long. */
  readonly drainIdleMs: number;
  /** Connect to where a captured connection was going anyway: a lost SYN or two may pass. */
  readonly connectPassthroughMs: number;
  /** Silence on a captured connection that is expected to be HTTP, before the server is asked. */
  readonly detectSilenceMs: number;
  /** From the first byte of something that looks like a request line to its end. */
  readonly detectLineMs: number;
  /** No byte either way on a relayed (opaque) connection. */
  readonly opaqueIdleMs: number;
  /** A relayed connection that lives longer asks the system to look whether its peers are there. */
  readonly tunnelYoungMs: number;
  /** Idle before the system asks a peer, and between its questions; and how many without an answer. */
  readonly tunnelKeepAliveMs: number;
  readonly tunnelProbesMax: number;
  /** Relayed directions that may read 64 KiB at a time, into memory of their own; others copy. */
  readonly tunnelSlabsMax: number;
  /** Of a direction, kept ready for connections that become busy. */
  readonly exchangesFreeMax: number;
  /** A captured connection that came before there was a table waits this long for one. */
  readonly parkMs: number;
  /** Original destinations remembered with their connections, and for how long without a request. */
  readonly passthroughMax: number;
  readonly passthroughIdleMs: number;
  /** A TLS handshake from accept to its end. */
  readonly tlsHandshakeMs: number;
  /**
   * Of those that have begun with the outside, at a time and of one address: the oldest goes when there
   * is one more. Each that stalls costs 43 to 77 KB.
   */
  readonly tlsHandshakesMax: number;
  readonly tlsHandshakesPerAddressMax: number;
  /** Handshakes at gateways that begin in one turn of the loop: with RSA each takes 1 ms of CPU. */
  readonly handshakesPerTurn: number;
  /** How often certificate files are looked at. */
  readonly tlsPollMs: number;
  /**
   * A gateway of many names has many sets of them: so many are looked at a second, then each more seldom,
   * but at least this often. A look at two files takes 25 us of CPU (2026-11-26).
   */
  readonly tlsPollsPerSecond: number;
  readonly tlsPollMaxMs: number;
  /**
   * Where a server may speak first, its words wait so long for a ClientHello of the mesh: a sidecar sends
   * one as soon as it is connected, but its process may be held up. The second: where the caller has
   * come without until now.
   */
  readonly meshHelloMs: number;
  readonly meshHelloAgainMs: number;
  /**
   * Handshakes of the mesh: begun in a turn of the loop (one takes half a millisecond of the thread that
   * serves everybody), under way, and waiting for their turn; more are closed.
   */
  readonly meshHandshakesPerTurn: number;
  readonly meshHandshakesMax: number;
  readonly meshHandshakesWaitingMax: number;
  /** Of one IP address, which many sidecars may share: under way, and waiting. */
  readonly meshHandshakesPerAddressMax: number;
  readonly meshWaitingPerAddressMax: number;
  /** What a handshake has, from when it begins, while others wait for its place. */
  readonly meshHandshakePatienceMs: number;
  /** For how long a session of the mesh may be resumed, with the certificates that it began with. */
  readonly meshSessionMs: number;
  /**
   * What a sidecar or gateway of the mesh may say in x-forwarded-client-cert of callers before it: more is
   * left out. A gateway of ours says one element of at most 1 KiB.
   */
  readonly clientCertBytesMax: number;
  readonly clientCertElementsMax: number;
  /** After a new certificate of our own: for how long connections that were made with the old one go on. */
  readonly meshDrainMs: number;
  /** Relayed connections that end with a certificate: what both ends have to take the rest and close. */
  readonly meshEndMs: number;
  /** Callers without mutual TLS that are remembered, each address and port apart. */
  readonly plaintextCallersMax: number;
  /** Between two attempts to open a listener whose port is taken. */
  readonly listenRetryMs: number;
  /** The same where one of ours must give its address up for the attempt and callers notice. */
  readonly listenRoomMs: number;
  /** A listening socket is closed when nothing has come for this long, and after that in any case. */
  readonly acceptQuietMs: number;
  readonly acceptLastMs: number;
  /** After the listeners are open, before ready: how long synthetic exchanges may run. */
  readonly warmUpMs: number;
  /** Between two warnings of one kind about refused connections. */
  readonly refusalWarningMs: number;
  /** Of one kind: subjects (destinations, for example) that have such a warning each; all others share one. */
  readonly warnedSubjectsMax: number;
}

export const trafficLimits: TrafficLimits = Object.freeze({
  headBytesMax: 64 * 1024,
  headFieldsMax: 256,
  fieldNameBytesMax: 256,
  connectionBytesMax: 1_024,
  targetBytesMax: 8 * 1024,
  chunkExtensionBytesMax: 256,
  messageExtensionBytesMax: 16 * 1024,
  trailerBytesMax: 8 * 1024,
  trailerFieldsMax: 32,
  interimResponsesMax: 8,
  heldBytesMax: 64 * 1024,
  headTimeoutMs: 10_000,
  keepAliveIdleMs: 75_000,
  bodyIdleMs: 30_000,
  bodyRateWindowMs: 10_000,
  bodyRateBytesPerSecondMin: 256,
  connectTimeoutMs: 10_000,
  connectElsewhereMs: 1_000,
  connectLocalTimeoutMs: 10_000,
  responseHeadTimeoutMs: 15_000,
  streamIdleMs: 300_000,
  poolIdleMs: 4_000,
  poolIdlePerEndpointMax: 256,
  inFlightPerEndpointMax: 10_000,
  pendingPerClusterMax: 10_000,
  connectionsMax: 10_000,
  connectionsShownMax: 500,
  acceptPauseMs: 100,
  drainMs: 25_000,
  drainListenMs: 5_000,
  drainQuietMs: 1_500,
  lingerMs: 1_000,
  retryRatio: 0.2,
  retriesPerSecond: 10,
  drainIdleMs: 1_000,
  connectPassthroughMs: 10_000,
  detectSilenceMs: 200,
  detectLineMs: 3_000,
  opaqueIdleMs: 3_600_000,
  tunnelYoungMs: 5_000,
  tunnelKeepAliveMs: 10_000,
  tunnelProbesMax: 6,
  tunnelSlabsMax: 64,
  exchangesFreeMax: 128,
  parkMs: 60_000,
  passthroughMax: 1_024,
  passthroughIdleMs: 60_000,
  tlsHandshakeMs: 5_000,
  tlsHandshakesMax: 1_000,
  tlsHandshakesPerAddressMax: 500,
  handshakesPerTurn: 4,
  tlsPollMs: 250,
  tlsPollsPerSecond: 400,
  tlsPollMaxMs: 800,
  meshHelloMs: 300,
  meshHelloAgainMs: 20,
  meshHandshakesPerTurn: 4,
  meshHandshakesMax: 256,
  meshHandshakesWaitingMax: 2_048,
  meshHandshakesPerAddressMax: 128,
  meshWaitingPerAddressMax: 1_024,
  meshHandshakePatienceMs: 500,
  meshSessionMs: 3_600_000,
  clientCertBytesMax: 4_096,
  clientCertElementsMax: 8,
  meshDrainMs: 3_600_000,
  meshEndMs: 5_000,
  plaintextCallersMax: 512,
  listenRetryMs: 1_000,
  listenRoomMs: 60_000,
  acceptQuietMs: 5,
  acceptLastMs: 2_000,
  warmUpMs: 700,
  refusalWarningMs: 60_000,
  warnedSubjectsMax: 32,
});

/** Configuration as people write it. */
export interface ConfigLimits {
  readonly fileBytesMax: number;
  readonly filesMax: number;
  /** YAML aliases in one document: stops alias bombs. */
  readonly aliasesMax: number;
  readonly regexBytesMax: number;
  /** A file system that changes all the time is read at most this often. */
  readonly reloadDebounceMs: number;
  /** How often the folder is looked at beside the kernel's notices, which can be lost. */
  readonly reloadPollMs: number;
  readonly diagnosticsMax: number;
  /** Characters of all files from which a compiler's thread lasts: about a hundred rules. */
  readonly largeTextMin: number;
  /** Custom tags of a Telemetry, and characters of a literal one: every span carries them. */
  readonly customTagsMax: number;
  readonly customTagLengthMax: number;
}

export const configLimits: ConfigLimits = Object.freeze({
  fileBytesMax: 10 * 1024 * 1024,
  filesMax: 4_096,
  aliasesMax: 100,
  regexBytesMax: 1_024,
  reloadDebounceMs: 50,
  reloadPollMs: 1_000,
  diagnosticsMax: 1_000,
  largeTextMin: 24 * 1024,
  customTagsMax: 16,
  customTagLengthMax: 1_024,
});

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

/** Checks the relations that the code relies on. Throws AssertionFailure. */
export function assertLimits(limits: TrafficLimits): void {
  assert(limits.targetBytesMax < limits.headBytesMax, 'a target must fit into a head');
  assert(limits.fieldNameBytesMax < limits.headBytesMax, 'a field name must fit into a head');
  assert(limits.poolIdleMs < limits.keepAliveIdleMs, 'we retire upstream connections first');
  assert(limits.drainListenMs < limits.drainMs, 'what came last has time to finish');
  assert(
    limits.tlsHandshakesPerAddressMax < limits.tlsHandshakesMax,
    'one address leaves room for others',
  );
  assert(limits.tlsPollMs <= limits.tlsPollMaxMs, 'few certificates are looked at oftener');
  assert(limits.meshHelloAgainMs <= limits.meshHelloMs, 'known callers are waited for no longer');
  assert(limits.meshHelloMs < limits.tlsHandshakeMs, 'a ClientHello leaves time for the handshake');
  assert(limits.clientCertBytesMax < limits.headBytesMax, 'it is a part of a head');
  assert(limits.drainQuietMs < limits.drainListenMs, 'a quiet proxy ends when it has listened on');
  assert(
    limits.acceptQuietMs < limits.acceptLastMs,
    'callers that go on do not hold a socket open',
  );
  assert(
    Math.min(limits.inFlightPerEndpointMax, limits.pendingPerClusterMax) >= limits.connectionsMax,
    'an endpoint gets what the connections bring',
  );
  assert(
    limits.connectElsewhereMs < limits.connectTimeoutMs,
    'an endpoint is left sooner where there is another',
  );
}
