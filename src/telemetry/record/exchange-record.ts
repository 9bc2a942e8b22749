/**
 * The exchange record: what one exchange, or one connection that was relayed unread, tells telemetry, as
 * numbers and five strings.
 *
 * The proxy owns one per exchange (SERVER) and one per upstream attempt (CLIENT), fills it, hands it to
 * `HotTelemetry.finish` and reuses it. It is not a span: the worker makes spans of its copy in the
 * ring. Every field is a small integer (ids are 32-bit patterns kept signed, so that V8 never boxes
 * them); -1 means "not reached" for times, 0 means "none" for ids of the NameTable.
 */

/**
 * `Connection`: one that was relayed unread, captured or upgraded; some fields mean something else.
 * `Mark`: no exchange, but a trace that is to be kept; only kind, flags and trace id mean something.
 */
export const RecordKind = { Server: 1, Client: 2, Connection: 3, Mark: 4 } as const;

/**
 * How an outbound exchange was tied to the inbound one that caused it (tracing.md section 6).
 * `Correlation`: by a header whose value an open inbound request has; `joinField` says which. `Gateway`:
 * they are one, which a Gateway passes on.
 */
export const Join = { None: 0, App: 1, Preload: 2, Correlation: 3, Gateway: 4 } as const;

/** By `Join`; of a correlation the name of the header follows. */
export const joinWords: readonly string[] = ['none', 'app', 'preload', 'correlation', 'gateway'];

/**
 * Why the trace is exported. `Retro`: a verdict about the trace came after this span's end. `Cap`: why
 * it is not, though the caller asked for it: an edge honours only so many such requests a second.
 */
export const SampledBy = {
  None: 0,
  Parent: 1,
  Ratio: 2,
  Error: 3,
  Slow: 4,
  Retry: 5,
  Denied: 6,
  Retro: 7,
  Debug: 8,
  Cap: 9,
} as const;

/** By `SampledBy`; undefined where nothing is said. */
export const sampledByWords: readonly (string | undefined)[] = [
  undefined,
  'parent',
  'ratio',
  'error',
  'slow',
  'retry',
  'denied',
  'retro',
  'debug',
  'cap',
];

/** TLS of the connection by `record.tlsVersion`, as `tls.protocol.version` has it; 0: none. */
export const tlsVersionWords: readonly string[] = ['', '1.2', '1.3'];

/** Bits of `flags`, 16 at most; those about the trace are written by `beginSpan`. */
export const RecordFlag = {
  /** Set by `beginSpan`: the trace was chosen at its head. */
  Sampled: 1,
  /** Set by `beginSpan`: parentId is a received span id. */
  HasParent: 2,
  /** The exchange went over a connection that had carried others. */
  ConnectionReused: 4,
  /** Set by `beginSpan`: W3C level 2 `random` flag. */
  RandomId: 8,
  /** The downstream left before the exchange was complete. */
  DownstreamGone: 16,
  /** A body ended before its declared end. */
  BodyCut: 32,
  /** TLS of the downstream ends in this proxy. */
  Tls: 64,
  /** Of a `Connection` record: towards the own application. */
  Inbound: 128,
  /** A later verdict has chosen the trace: exported like a sampled one. */
  Kept: 256,
  /** The peer has proved to be a sidecar of this mesh. */
  PeerMeshed: 512,
  /** That peer exports its spans of the trace. */
  PeerKeeps: 1024,
  /** The trace would be kept for an error, but there were too many of them. */
  Refused: 2048,
  /** For metrics and the access log only: no span is made of it, whatever other bits say. */
  Muted: 4096,
  /** The downstream is outside of the mesh, and this proxy its edge. */
  Edge: 8192,
  /** Chosen by the own ratio, or by the same one elsewhere: that is the span's `ot=th:...`. */
  OwnThreshold: 16_384,
} as const;

/** Bits of `policyBits`, 8 at most: what the policy of `policyId` did. */
export const PolicyBit = {
  /** It denied the exchange, or none allowed it and this is the first that could have. */
  Denied: 1,
  /** Dry-run: it would have denied. */
  WouldDeny: 2,
  /** An AUDIT policy, and a rule of it holds. */
  Audited: 4,
  /** With `Denied`: no rule of it holds, it is the first of those that could have allowed. */
  NoneAllows: 8,
} as const;

const EXPORTED = RecordFlag.Sampled | RecordFlag.Kept;

/** Whether a record with these `flags` becomes a span. Both threads count by it. */
export function isExported(flags: number): boolean {
  return (flags & EXPORTED) !== 0 && (flags & RecordFlag.Muted) === 0;
}

const NOT_REACHED = -1;

/** Whether the record's span is a CLIENT's. */
export function isOutbound({ kind, flags }: Pick<ExchangeRecord, 'kind' | 'flags'>): boolean {
  if (kind === RecordKind.Connection) return (flags & RecordFlag.Inbound) === 0;
  return kind === RecordKind.Client;
}

export class ExchangeRecord {
  /** RecordKind; set it before `beginSpan`. */
  kind = 0;
  /** RecordFlag bits. */
  flags = 0;
  /** Trace id, big end first, each a signed 32-bit pattern; all zero = no trace. */
  traceId0 = 0;
  traceId1 = 0;
  traceId2 = 0;
  traceId3 = 0;
  spanId0 = 0;
  spanId1 = 0;
  parentId0 = 0;
  parentId1 = 0;
  /** Monotonic milliseconds (Clock.now()) of the first byte of the request head. */
  startMs = 0.5;
  /** From start to the request for a connection, microseconds; -1 = not reached, as below. */
  queueUs = NOT_REACHED;
  /** Looking up the endpoint's name, of a new upstream connection. */
  dnsUs = NOT_REACHED;
  /** TCP connect of a new upstream connection. */
  connectUs = NOT_REACHED;
  /** TLS handshake: of a new upstream connection, or of a downstream's first request. */
  tlsUs = NOT_REACHED;
  /** From the first to the last byte of the request sent upstream. */
  requestUs = NOT_REACHED;
  /** From start to the first byte of the response head: -1 tells that no response ever began. */
  firstByteUs = NOT_REACHED;
  /** From the first to the last byte of the response. */
  responseUs = NOT_REACHED;
  /** The proxy's own share of totalUs. */
  proxyUs = NOT_REACHED;
  /** From start to the last byte of the response; the span's duration. */
  totalUs = 0;
  /** Method of wire/http1; 0 = unknown. Connection: `Detected`. */
  method = 0;
  /** SERVER: what was sent downstream. CLIENT: what upstream sent. 0 = none. */
  status = 0;
  /** `Failure.code`; 0 = no failure. */
  causeCode = 0;
  /** Join. Connection: `DetectedBy`. */
  join = 0;
  /** Of Join.Correlation: place of the header in `CorrelationFields.names`, 0 to 15. */
  joinField = 0;
  /** Index of `tlsVersionWords`. */
  tlsVersion = 0;
  /**
   * SERVER: the port at which the caller's sidecar answers for its inbound half; 1: it has none; 0: the
   * caller is no sidecar.
   */
  callbackPort = 0;
  /** Of the `RequestSeries` that counted it, 1 to 65535; 0 = none. */
  seriesId = 0;
  /** SampledBy; written by `beginSpan`. */
  sampledBy = 0;
  /** 0 = first try, up to 255. */
  attempt = 0;
  /** Of a resend: `Failure.code` of the attempt before, up to 127; 0 = first try. */
  attemptReason = 0;
  /** NameTable ids; 0 = none. */
  routeId = 0;
  /** Position of the rule in its resource, 0 to 65535; means nothing without a routeId. */
  ruleIndex = 0;
  clusterId = 0;
  subsetId = 0;
  /** As written in YAML; 0 = no weighted choice was made. */
  weight = 0;
  /** NameTable id of `address:port`. */
  endpointId = 0;
  generation = 0;
  /** NameTable id of the configured `address:port` that the downstream meant; 0 = none. */
  destinationId = 0;
  /** NameTable id of the SPIFFE id that the peer of `kind` has proved; 0 = none. */
  principalId = 0;
  /** NameTable id of an authorization policy and its place, `namespace/name file:line:column`; 0 = none. */
  policyId = 0;
  /** PolicyBit; means nothing without a policyId. */
  policyBits = 0;
  /** Bytes of bodies on the wire, up to 2^48. */
  requestBytes = 0;
  responseBytes = 0;
  /** Counts up per process, from 1; 0 = none. SERVER: downstream's, CLIENT: upstream's. */
  connectionId = 0;
  /** Exchanges that the connection has carried, this one included. */
  connectionRequests = 0;
  peerPort = 0;
  /** 0 or 1: HTTP/1.x as received from the peer of `kind`. */
  minorVersion = 1;
  /**
   * Request target as forwarded: path with query. latin1; cut at 1 KiB in the ring, like all but the
   * address.
   * Connection: the name that a TLS ClientHello asks for.
   */
  target = '';
  /** Host as sent. Connection: the original destination, or the Host of the exchange before. */
  authority = '';
  /** Connection: the protocols that a ClientHello offers, joined by commas. */
  userAgent = '';
  /** SERVER, Connection: the downstream's IP address. CLIENT: the endpoint's, '' if never connected. */
  peerAddress = '';
  /**
   * Nearly always ''. Else lines that a line feed parts and the first letter tells apart, 1020
   * characters in all: `t<hex>` the threshold that came in tracestate, `l<trace id>-<span id>` a link,
   * `d<text>` what a failure was about, `c<index>:<value>` a custom tag, `h<index>:<value>` a captured header.
   */
  extra = '';

  /** Back to the state of a new record, but for `kind`: for owners that reuse it. */
  reset(): void {
    this.flags = 0;
    this.traceId0 = 0;
    this.traceId1 = 0;
    this.traceId2 = 0;
    this.traceId3 = 0;
    this.spanId0 = 0;
    this.spanId1 = 0;
    this.parentId0 = 0;
    this.parentId1 = 0;
    this.startMs = 0.5;
    this.queueUs = NOT_REACHED;
    this.dnsUs = NOT_REACHED;
    this.connectUs = NOT_REACHED;
    this.tlsUs = NOT_REACHED;
    this.requestUs = NOT_REACHED;
    this.firstByteUs = NOT_REACHED;
    this.responseUs = NOT_REACHED;
    this.proxyUs = NOT_REACHED;
    this.totalUs = 0;
    this.method = 0;
    this.status = 0;
    this.causeCode = 0;
    this.join = 0;
    this.joinField = 0;
    this.tlsVersion = 0;
    this.callbackPort = 0;
    this.seriesId = 0;
    this.sampledBy = 0;
    this.attempt = 0;
    this.attemptReason = 0;
    this.routeId = 0;
    this.ruleIndex = 0;
    this.clusterId = 0;
    this.subsetId = 0;
    this.weight = 0;
    this.endpointId = 0;
    this.generation = 0;
    this.destinationId = 0;
    this.principalId = 0;
    this.policyId = 0;
    this.policyBits = 0;
    this.requestBytes = 0;
    this.responseBytes = 0;
    this.connectionId = 0;
    this.connectionRequests = 0;
    this.peerPort = 0;
    this.minorVersion = 1;
    this.target = '';
    this.authority = '';
    this.userAgent = '';
    this.peerAddress = '';
    this.extra = '';
  }
}
