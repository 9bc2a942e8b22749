/**
 * Limits of the agent that gets a sidecar its certificates: when it asks, how long, how much.
 *
 * Sources: reference/reliability.md section 7 unless a line says otherwise. Units come last in a name.
 */

export interface AgentLimits {
  /** A leaf is renewed when this share of its life is over, give or take `renewSpread`. */
  readonly renewShare: number;
  readonly renewSpread: number;
  /** After a failure: doubled each time up to the most, give or take a fifth. */
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** No pause is longer than this share of what is left of the leaf. */
  readonly backoffLifeShare: number;
  /** Failures are errors in the log when less than this share of the life is left. */
  readonly alarmShare: number;
  /** A new trust bundle is reported to the authority within this time, at a random moment of it. */
  readonly reportMs: number;
  /** One call of the authority, from its dial to the end of the answer. */
  readonly callTimeoutMs: number;
  /** Of an answer: a chain and sixteen roots take less than half of it. */
  readonly answerBytesMax: number;
  /** Of a token file; Kubernetes' own have about one KiB. */
  readonly tokenBytesMax: number;
  /** Of the file of a trust bundle. */
  readonly bundleBytesMax: number;
  /** Roots of one trust bundle: more than any rotation needs. */
  readonly rootsMax: number;
  /** Between two looks at the file of the trust bundle. */
  readonly bundlePollMs: number;
  /** Sidecars of one role in one network namespace that have names which outlast them. */
  readonly seatsMax: number;
}

export const agentLimits: AgentLimits = Object.freeze({
  renewShare: 0.45,
  renewSpread: 0.05,
  backoffMinMs: 1_000,
  backoffMaxMs: 60_000,
  backoffLifeShare: 0.05,
  alarmShare: 0.2,
  reportMs: 60_000,
  callTimeoutMs: 10_000,
  answerBytesMax: 128 * 1024,
  tokenBytesMax: 16 * 1024,
  bundleBytesMax: 64 * 1024,
  rootsMax: 16,
  bundlePollMs: 500,
  seatsMax: 64,
});
