/**
 * How the length of a message body is known (RFC 9112 section 6.3).
 *
 * Decided once, from the header list, by framing.ts; the body reader and the printer obey it.
 */

export const BodyKind = {
  /** No body follows the head, whatever its fields say (HEAD, 204, 304). */
  None: 0,
  /** Exactly `contentLength` bytes. */
  Length: 1,
  Chunked: 2,
  /** Responses only: until the peer closes. */
  UntilClose: 3,
} as const;
