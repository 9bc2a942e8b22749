/**
 * Paths that every arm with a second upstream leads to stream-backend.ts, and what is sent there.
 */

/** All of them begin so. */
export const besidePrefix = '/beside';

/** Answered with 100 bytes. */
export const echoPath = `${besidePrefix}/echo`;
/** A WebSocket that sends each message back. */
export const socketPath = `${besidePrefix}/socket`;
/** The upstream resets the connection when it has read the head. */
export const resetPath = `${besidePrefix}/reset`;

/** Server-sent events; each has the nanoseconds of the machine's monotonic clock when it was sent. */
export function eventsPath(count: number, gapMs: number): string {
  return `${besidePrefix}/events?count=${count}&gap=${gapMs}`;
}
