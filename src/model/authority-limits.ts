/**
 * Limits of identities: what is read of certificates and requests, how long keys and leaves live, and
 * how much the authority does for whom. Frozen; a test that needs others makes a copy.
 *
 * Sources: reference/reliability.md sections 3.7 and 7, SPIFFE-ID sections 2.1 to 2.3.
 */

export interface IdentityLimits {
  /** Bytes of one certificate or request that are read. Ours have 600. */
  readonly derBytesMax: number;
  /** Levels of DER; a certificate has 8. */
  readonly derDepthMax: number;
  /** SPIFFE-ID 2.3. */
  readonly idBytesMax: number;
  /** SPIFFE-ID 2.1. */
  readonly trustDomainLengthMax: number;
  /** Names of all kinds in one certificate of the mesh; exactly one of them is its id. */
  readonly svidNamesMax: number;
  /** Bits of an RSA key of an outside authority's leaf; ours are P-256. */
  readonly rsaBitsMin: number;
}

export const identityLimits: IdentityLimits = Object.freeze({
  derBytesMax: 8 * 1024,
  derDepthMax: 16,
  idBytesMax: 2_048,
  trustDomainLengthMax: 255,
  svidNamesMax: 16,
  rsaBitsMin: 2_048,
});

export interface AuthorityLimits {
  readonly rootLifeMs: number;
  readonly issuerLifeMs: number;
  /** An issuer of our own is replaced when less than this share of its life is left. */
  readonly issuerRenewShare: number;
  /** Of a leaf, at most and by default. */
  readonly leafLifeMs: number;
  /** The shortest that may be asked for: the time of tests. */
  readonly leafLifeMinMs: number;
  /** Certificates begin so long before they are made, for clocks that are behind. */
  readonly backdateMs: number;
  /** Nothing is signed by an issuer with less left than this: its leaves would end too soon. */
  readonly issuerLeftMinMs: number;
  /** Alarms about roots and issuers: info, warning, error. */
  readonly alarmsMs: readonly [number, number, number];
  readonly requestBytesMax: number;
  /** Of a body that is longer, so much is read before the connection is cut. */
  readonly discardBytesMax: number;
  readonly requestTimeoutMs: number;
  readonly headBytesMax: number;
  readonly connectionsMax: number;
  /** Of them, of one address; and how many it may open in a row and a second. */
  readonly connectionsPerAddressMax: number;
  readonly dialsBurst: number;
  readonly dialsPerSecond: number;
  readonly keepAliveIdleMs: number;
  /** Requests of one pod, or of one file token, in a row and a minute. */
  readonly callerBurst: number;
  readonly callerPerMinute: number;
  /** The same for a token of a file, which all sidecars of a service account may share. */
  readonly tokenBurst: number;
  readonly tokenPerMinute: number;
  /** Where the API server is asked: requests of one address, in a row and a minute. */
  readonly addressBurst: number;
  readonly addressPerMinute: number;
  /** Likewise tokens that are refused. */
  readonly refusedBurst: number;
  readonly refusedPerMinute: number;
  /** Requests of all together. */
  readonly allBurst: number;
  readonly allPerSecond: number;
  /** Questions to the API server at one time, and those that wait for a place. */
  readonly reviewsMax: number;
  readonly reviewsWaitingMax: number;
  readonly reviewTimeoutMs: number;
  /** Lines in the log about one address, in a row and a minute: refusals and handshakes that failed. */
  readonly linesBurst: number;
  readonly linesPerMinute: number;
  /** Callers that are remembered for their rates; the least recent is forgotten. */
  readonly callersMax: number;
  /** Public keys of the last leaves that are remembered. */
  readonly keysMax: number;
  /** Sidecars whose reports are kept: compressed they fit into a ConfigMap of 1 MiB. */
  readonly sidecarsMax: number;
  /** Of their list as text, where it is kept compressed. */
  readonly sidecarsBytesMax: number;
  /** Characters of a sidecar's own name. */
  readonly instanceLengthMax: number;
  /** Between two looks at the state directory and the files of an outside issuer. */
  readonly statePollMs: number;
  /** The same of objects in a cluster, which cost the API server a call each. */
  readonly clusterPollMs: number;
  /** Between two writings of reports, at least and at most; an answer waits for its own so long. */
  readonly reportsRestMinMs: number;
  readonly reportsWriteMs: number;
  readonly reportsWaitMs: number;
  readonly tokenHours: number;
  readonly tokenHoursMax: number;
  /** Of a token in a file or a header; Kubernetes' own have about one KiB. */
  readonly tokenBytesMax: number;
  /** Of a tokens file. */
  readonly tokensFileBytesMax: number;
}

const minuteMs = 60_000;
const dayMs = 86_400_000;

export const authorityLimits: AuthorityLimits = Object.freeze({
  rootLifeMs: 365 * dayMs,
  issuerLifeMs: 30 * dayMs,
  issuerRenewShare: 1 / 3,
  leafLifeMs: dayMs,
  leafLifeMinMs: 10_000,
  backdateMs: minuteMs,
  issuerLeftMinMs: 60 * minuteMs,
  alarmsMs: [30 * dayMs, 7 * dayMs, dayMs] as const,
  requestBytesMax: 16 * 1024,
  discardBytesMax: 2 * 1024 * 1024,
  requestTimeoutMs: 5_000,
  headBytesMax: 16 * 1024,
  connectionsMax: 512,
  connectionsPerAddressMax: 128,
  dialsBurst: 256,
  dialsPerSecond: 64,
  keepAliveIdleMs: 10_000,
  callerBurst: 6,
  callerPerMinute: 6,
  tokenBurst: 60,
  tokenPerMinute: 60,
  addressBurst: 30,
  addressPerMinute: 30,
  refusedBurst: 10,
  refusedPerMinute: 10,
  allBurst: 100,
  allPerSecond: 50,
  reviewsMax: 8,
  reviewsWaitingMax: 64,
  reviewTimeoutMs: 5_000,
  linesBurst: 10,
  linesPerMinute: 2,
  callersMax: 50_000,
  keysMax: 100_000,
  sidecarsMax: 10_000,
  sidecarsBytesMax: 32 * 1024 * 1024,
  instanceLengthMax: 253,
  statePollMs: 1_000,
  clusterPollMs: 5_000,
  reportsRestMinMs: 50,
  reportsWriteMs: 1_000,
  reportsWaitMs: 2_000,
  tokenHours: 720,
  tokenHoursMax: 8_760,
  tokenBytesMax: 8 * 1024,
  tokensFileBytesMax: 4 * 1024 * 1024,
});
