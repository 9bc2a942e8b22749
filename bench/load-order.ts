/**
 * What the bench asks of its generator and what it gets back: plain data over the process channel.
 *
 * Two kinds of load. Open loop: requests are due at planned times whatever the proxy does, and each
 * latency counts from that time, so a stall is paid by every request it delayed. Closed loop: each
 * connection sends as soon as it has its answer; only its count means anything.
 */

import type { SparseCounts } from './histogram.ts';

export interface OpenLoop {
  readonly kind: 'open';
  readonly port: number;
  readonly connections: number;
  readonly ratePerSecond: number;
  /** Requests due in this time are sent and verified, but not counted. */
  readonly warmSeconds: number;
  readonly seconds: number;
  /** Evenly spaced, or with the exponential gaps of independent callers (drawn from `seed`). */
  readonly arrivals: 'even' | 'poisson';
  readonly seed: number;
}

export interface ClosedLoop {
  readonly kind: 'closed';
  readonly port: number;
  readonly connections: number;
  readonly seconds: number;
}

export type LoadOrder = OpenLoop | ClosedLoop;

/** Every answer is read whole and compared; one that differs is counted here and nowhere else. */
export interface LoadErrors {
  status: number;
  body: number;
  /** The connection ended, or could not be opened, while an answer was due. */
  cut: number;
  /** No answer two seconds after the last request was due. */
  late: number;
}

export interface LoadReport {
  readonly sent: number;
  /** Answers that were right and counted. */
  readonly completed: number;
  readonly errors: LoadErrors;
  readonly elapsedSeconds: number;
  /** From the time a request was due to its last byte; from the time it was really sent. */
  readonly latency: SparseCounts;
  readonly service: SparseCounts;
  /** How long after a request was due the generator noticed: its own fault, not the proxy's. */
  readonly lateness: SparseCounts;
}

/** The host that every request names; all arms are configured for it. */
export const benchHost = 'backend.bench.svc.cluster.local';

/** The body that every answer carries: 100 bytes, the size of reference/performance.md 2.1. */
export const benchBody = '0123456789'.repeat(10);

/** The request, as a browser-less caller sends it: what the arms forward. */
export const benchRequest =
  `GET /reviews/17 HTTP/1.1\r\nHost: ${benchHost}\r\n` +
  'User-Agent: tracecar-bench\r\nAccept: */*\r\n\r\n';
