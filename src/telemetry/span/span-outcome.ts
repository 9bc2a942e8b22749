/**
 * How an exchange ended, as a span says it: status, `error.type`, status code, cause and flags.
 *
 * Rules of reference/tracing.md 2.1: SERVER 4xx is no error, CLIENT 4xx is; a transfer that broke is
 * one even after a 2xx; a downstream that left of its own will is none.
 */

import { failure, failureByCode } from '../../model/failure.ts';
import { type ExchangeRecord, RecordFlag, RecordKind } from '../record/exchange-record.ts';

export interface SpanOutcome {
  readonly isError: boolean;
  /** Status code as text, a cause, or `_OTHER`; undefined unless `isError`. */
  readonly errorType: string | undefined;
  /** What was sent (SERVER) or received (CLIENT); 0 when nothing was. */
  readonly statusCode: number;
  readonly cause: string | undefined;
  /** Twins of Envoy's response flags. */
  readonly flags: readonly string[];
}

const DOWNSTREAM_GONE = failure['client-gone'];

export function spanOutcome(record: ExchangeRecord): SpanOutcome {
  const failed = failureByCode(record.causeCode);
  const isClient = record.kind === RecordKind.Client;
  // A local reply's status is not upstream's: with no first byte nothing was received.
  const hasNoResponse = isClient && failed !== undefined && record.firstByteUs < 0;
  const statusCode = hasNoResponse ? 0 : record.status;
  const hasLeft = failed === DOWNSTREAM_GONE || (record.flags & RecordFlag.DownstreamGone) !== 0;
  const cause = failed?.cause;
  const errorType =
    record.kind === RecordKind.Connection
      ? connectionErrorOf(cause, hasLeft)
      : errorTypeOf(record, isClient, statusCode, cause, hasLeft);
  const flags = failed === undefined ? [] : [failed.flag];
  if (hasLeft && failed !== DOWNSTREAM_GONE) flags.push(DOWNSTREAM_GONE.flag);
  return {
    isError: errorType !== undefined,
    errorType,
    statusCode,
    cause,
    flags,
  };
}

/** A connection has no status: only what broke it counts. */
function connectionErrorOf(cause: string | undefined, hasLeft: boolean): string | undefined {
  return hasLeft ? undefined : cause;
}

function errorTypeOf(
  record: ExchangeRecord,
  isClient: boolean,
  statusCode: number,
  cause: string | undefined,
  hasLeft: boolean,
): string | undefined {
  if (statusCode >= (isClient ? 400 : 500)) return String(statusCode);
  if (hasLeft) return undefined;
  const isCut = (record.flags & RecordFlag.BodyCut) !== 0;
  if (statusCode === 0) return cause ?? '_OTHER';
  // A SERVER's 4xx with a cause is our own refusal of a bad request, not a broken transfer.
  if (isCut || (cause !== undefined && statusCode < 400)) return cause ?? '_OTHER';
  return undefined;
}
