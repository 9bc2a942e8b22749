/**
 * Every limit of the injector's webhook and of the Kubernetes client, with its default and reason.
 *
 * Units come last in a name, as in limits.ts. Sources: reference/reliability.md 3.4 and
 * reference/interception-and-injection.md 2.3, 2.4 and 6.1, unless a line says otherwise.
 */

/** The admission webhook's server. */
export interface WebhookLimits {
  /** One review. The API server's own limit of an object is 3 MB, and a review may hold two. */
  readonly reviewBytesMax: number;
  /** Nesting of a review; a pod reaches about 15. */
  readonly reviewDepthMax: number;
  /** Bodies held at the same time, over all connections; more are told to come back. */
  readonly heldBytesMax: number;
  /** A larger answer is never sent: the API server would refuse it. */
  readonly answerBytesMax: number;
  /** What the API server shows of one warning. */
  readonly warningCharactersMax: number;
  readonly headBytesMax: number;
  readonly headTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** The API server keeps idle connections for 90 s: closing earlier would race its next call. */
  readonly keepAliveIdleMs: number;
  readonly connectionsMax: number;
  /** After the listener closed: how long reviews under way may take. */
  readonly drainMs: number;
  /** At the end: how long the webhook's own spans may take to be delivered. */
  readonly flushMs: number;
  /** How long a review may wait for a namespace that is read for it. */
  readonly namespaceTimeoutMs: number;
  /**
   * How long a namespace counts as known after the last sign of life of its watch, or after it was
   * read: a cluster where nothing happens costs one read of a namespace in this time, while pods come.
   */
  readonly namespaceTrustMs: number;
}

export const webhookLimits: WebhookLimits = Object.freeze({
  reviewBytesMax: 10 * 1024 * 1024,
  reviewDepthMax: 200,
  heldBytesMax: 64 * 1024 * 1024,
  answerBytesMax: 3 * 1024 * 1024,
  warningCharactersMax: 120,
  headBytesMax: 32 * 1024,
  headTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  keepAliveIdleMs: 120_000,
  connectionsMax: 1_024,
  drainMs: 10_000,
  flushMs: 2_000,
  namespaceTimeoutMs: 2_000,
  namespaceTrustMs: 2_000,
});

/** The Kubernetes client. */
export interface KubeLimits {
  readonly connectTimeoutMs: number;
  /** One call that is no watch. */
  readonly callTimeoutMs: number;
  /** One answer that is no watch; a page of 500 pods with everything is about 5 MB. */
  readonly answerBytesMax: number;
  /** One event of a watch. */
  readonly eventBytesMax: number;
  readonly listPage: number;
  /** The server ends a watch after a random time between these. */
  readonly watchSecondsMin: number;
  readonly watchSecondsMax: number;
  /** A watch without a byte is dead: the server sends a bookmark about every minute. */
  readonly watchIdleMs: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** Failures in a row, without an event between them, after which everything is listed again. */
  readonly failuresBeforeRelist: number;
  /** How long the token and the certificates of the service account are trusted to be unchanged. */
  readonly accountRereadMs: number;
}

export const kubeLimits: KubeLimits = Object.freeze({
  connectTimeoutMs: 5_000,
  callTimeoutMs: 15_000,
  answerBytesMax: 64 * 1024 * 1024,
  eventBytesMax: 16 * 1024 * 1024,
  listPage: 500,
  watchSecondsMin: 290,
  watchSecondsMax: 590,
  watchIdleMs: 150_000,
  backoffMinMs: 500,
  backoffMaxMs: 30_000,
  failuresBeforeRelist: 3,
  accountRereadMs: 60_000,
});

/** The certificates that the webhook serves with. */
export interface ServingCertificateLimits {
  readonly authorityDays: number;
  readonly leafDays: number;
  /** Both begin this long before now, for clocks that are behind. */
  readonly backdateMs: number;
  /** Renewed when this share of a life is over. */
  readonly renewShare: number;
  /** How often the stored certificates and what is published are compared. */
  readonly checkMs: number;
}

export const servingCertificateLimits: ServingCertificateLimits = Object.freeze({
  authorityDays: 3_650,
  leafDays: 30,
  backdateMs: 5 * 60_000,
  renewShare: 2 / 3,
  checkMs: 60_000,
});
