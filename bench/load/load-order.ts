/**
 * What the bench asks of its generator and what it gets back: plain data over the process channel.
 *
 * Two kinds of load. Open loop: requests are due at planned times whatever the proxy does, and each
 * latency counts from that time, so a stall is paid by every request it delayed. Closed loop: each
 * connection sends as soon as it has its answer; its count means something, its latencies little.
 * A third order holds connections open and asks nothing of them.
 */

import type { SparseCounts } from './histogram.ts';

/** What is sent and what must come back; everything has a default. */
export interface Exchange {
  /**
   * A request with a body is a POST; 0 is a GET. Up to 64 KiB: nginx answers a longer body before it has
   * read it, and then some proxies cut the connection.
   */
  readonly bodyBytes?: number;
  /** The request's body is sent chunked, in pieces of at most 16 KiB. */
  readonly chunked?: boolean;
  /** '/reviews/17', answered with 100 bytes; answerPath(BYTES) is answered with that many. */
  readonly path?: string;
  /** Hosts, and paths, to go through request by request, for many routes; path is then not used. */
  readonly targets?: readonly Target[];
}

export interface Target {
  readonly host: string;
  readonly path: string;
}

export interface OpenLoop extends Exchange {
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

export interface ClosedLoop extends Exchange {
  readonly kind: 'closed';
  readonly port: number;
  readonly connections: number;
  readonly seconds: number;
  /** Ends after so many answers, if that is earlier. */
  readonly requests?: number;
}

export type LoadOrder = OpenLoop | ClosedLoop;

/** Opens connections, sends one request on each, and then only keeps them, until 'release'. */
export interface Hold {
  readonly kind: 'hold';
  readonly port: number;
  readonly connections: number;
}

export type GeneratorOrder = LoadOrder | Hold | { readonly kind: 'release' };

/** Every answer is read whole and compared; one that differs is counted here and nowhere else. */
export interface LoadErrors {
  status: number;
  body: number;
  /** The answer does not carry the x-request-id of the request that it answers. */
  echo: number;
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

export const benchPath = '/reviews/17';

/** The body that most answers carry: 100 bytes, the size of reference/performance.md 2.1. */
export const benchBody = '0123456789'.repeat(10);

/** Sizes of answers that the backend has beside it. */
export const answerSizes = [0, 1024, 16_384, 65_536, 1_048_576] as const;

/** The path that the backend answers with so many bytes; the rules of all arms match it. */
export function answerPath(bytes: (typeof answerSizes)[number]): string {
  return `/reviews/${bytes}`;
}

/** The body that the backend answers with on a path. */
export function answerOf(path: string): string {
  const bytes = answerSizes.find((size) => path === answerPath(size));
  return bytes === undefined ? benchBody : bodyOf(bytes);
}

/** Sixteen digits over and over, so that whole KiB begin alike. */
export function bodyOf(bytes: number): string {
  return '0123456789abcdef'.repeat(Math.ceil(bytes / 16)).slice(0, bytes);
}

/** The head of a request, as a caller that is no browser sends it; `fields` end in CRLF each. */
export function requestHead(method: string, { host, path }: Target, fields: string): string {
  return (
    `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n` +
    `User-Agent: tracecar-bench\r\nAccept: */*\r\n${fields}\r\n`
  );
}
