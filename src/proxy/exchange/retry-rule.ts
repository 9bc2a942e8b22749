/**
 * Whether a request may be sent again after a failure: never if that could make it happen twice.
 *
 *   unsent       no byte of it has reached a peer: the connection was never there; any method, and
 *                the body is still held whole
 *   idempotent   it has been sent and not one byte came back: only methods that may be repeated
 *                (RFC 9110 section 9.2.2), and without a body, which nobody keeps once it is sent
 *
 * Pure; the budget and the count of attempts are the caller's (DESIGN.md decision 9).
 */

import { type Failure, failure } from '../../model/failure.ts';
import { BodyKind } from '../../wire/http1/body-kind.ts';
import type { MessageHead } from '../../wire/http1/message-head.ts';
import { isIdempotent } from '../../wire/http1/method.ts';
import { connectFailure, tlsFailure } from '../upstream/connect-failure.ts';

/** How far the failed attempt came. */
export const AttemptStage = { Connecting: 0, Sent: 1, Answering: 2 } as const;

/**
 * Whether `what` is what becomes of a kept connection every day: closed when it was used again. Who sent
 * a request over one knows best whether to repeat it; to be told so it needs no answer but the close.
 */
export function isEndOfKept(what: Failure): boolean {
  return what === failure['idle-race'] || what === failure['upstream-reset'];
}

/**
 * What it means that an upstream connection is gone at `stage` (an `AttemptStage`); `code` is the
 * system's word or ''. `isHeadRead`: the final head had been read; `isReused`: it had served before.
 */
export function lossOf(
  code: string,
  stage: number,
  isHeadRead: boolean,
  isReused: boolean,
): Failure {
  if (stage === AttemptStage.Connecting) return connectFailure(code);
  // TLS 1.3: a peer that refuses our certificate says so after we have begun to send.
  const refused = isHeadRead ? undefined : tlsFailure(code);
  if (refused !== undefined) return refused;
  if (isHeadRead) return failure['upstream-cut'];
  return stage === AttemptStage.Sent && isReused ? failure['idle-race'] : failure['upstream-reset'];
}

/** `endpoints`: how many the cluster has; where connecting failed another one is needed. */
export function isRepeatable(
  what: Failure,
  head: MessageHead,
  stage: number,
  endpoints: number,
): boolean {
  if (what.retry === 'unsent') return stage === AttemptStage.Connecting && endpoints > 1;
  if (what.retry !== 'idempotent' || stage !== AttemptStage.Sent) return false;
  return head.bodyKind === BodyKind.None && isIdempotent(head.method);
}
