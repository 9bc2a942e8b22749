/**
 * Names of methods by the id that records carry: the order of `Method` in wire/http1/method.ts.
 *
 * A copy, because `telemetry` serves both planes and must not know `wire`; a test compares the two.
 */

/** Index = id; 0 is "unknown" and has no name. */
export const methodNames: readonly (string | undefined)[] = [
  undefined,
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'CONNECT',
  'OPTIONS',
  'TRACE',
  'PATCH',
  'QUERY',
];
