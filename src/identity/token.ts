/**
 * Whom a token stands for: what the authority asks of a file or of Kubernetes before anything else.
 *
 * An answer is a caller or a refusal with its status; there is no third, and no other way to become
 * somebody when a question cannot be answered.
 */

import type { Secret } from '../base/secret.ts';

/** Who shows a good token. */
export interface Caller {
  readonly namespace: string;
  readonly serviceAccount: string;
  /** For the audit line: `pod shop/web-1 UID`, `token 3f2a...`. */
  readonly who: string;
  /** What its rate is counted by. */
  readonly limitKey: string;
  /** The token may be of several sidecars of a service account; else of one pod. */
  readonly isShared: boolean;
}

/** Why it is nobody's. */
export interface TokenProblem {
  /** 401 not a good token, 403 a good one of somebody who gets no identity, 503 nobody could say. */
  readonly status: 401 | 403 | 503;
  readonly cause: string;
  readonly message: string;
}

/** Never rejects. @param address of the TCP peer */
export type VerifyToken = (token: Secret, address: string) => Promise<Caller | TokenProblem>;
