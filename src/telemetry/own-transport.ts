/**
 * What stands in the SDK's exporter between it and its HTTP: it compresses, and it tries once, or twice
 * when a connection was cut.
 *
 * The SDK's own way retries five times within one export's time-out, at most 5 s apart, and gives the
 * batch up when a Retry-After is longer. Ours reports every failure that may pass to the queue, which
 * knows what is worth another try (span-queue.ts). And its gzip is zlib's level 6, which costs three
 * times level 1 for a quarter less (29 and 9 us a span of JSON, 2026-11-26).
 */

import { gzipSync } from 'node:zlib';
import type { WakeUps } from '../base/deadlines.ts';
import { RetryableError } from './export-retry.ts';
import { DeniedDial } from './own-dial.ts';
import type { RequestWatch } from './request-watch.ts';

/** Answer of a transport of the SDK. */
export interface TransportAnswer {
  readonly status: 'success' | 'failure' | 'retryable';
  readonly data?: Uint8Array;
  readonly error?: Error;
  /** Of a Retry-After; -1 is none. */
  readonly retryInMillis?: number;
}

/** A transport of the SDK. */
export interface Transport {
  send(data: Uint8Array, timeoutMillis: number): Promise<TransportAnswer>;
  shutdown(): void;
}

const GZIP_LEVEL = 1;
/** After the time-out for silence, which says better what happened. */
const MARGIN_MS = 100;

export class OwnTransport implements Transport {
  readonly #http: Transport;
  readonly #isGzip: boolean;
  readonly #requests: RequestWatch;
  readonly #wakeUps: WakeUps;

  /** `http` sends once and names the encoding itself, if `isGzip`. */
  constructor(http: Transport, isGzip: boolean, requests: RequestWatch, wakeUps: WakeUps) {
    this.#http = http;
    this.#isGzip = isGzip;
    this.#requests = requests;
    this.#wakeUps = wakeUps;
  }

  async send(data: Uint8Array, timeoutMillis: number): Promise<TransportAnswer> {
    const body = this.#isGzip ? gzipSync(data, { level: GZIP_LEVEL }) : data;
    // The SDK's time-out is for silence: an answer of one byte a second would never end.
    const callOff = this.#wakeUps.after(timeoutMillis + MARGIN_MS, () =>
      this.#requests.destroyOlderThan(timeoutMillis),
    );
    let answer = await this.#http.send(body, timeoutMillis);
    if (wasCut(answer)) answer = await this.#http.send(body, timeoutMillis);
    callOff();
    if (answer.status !== 'retryable') return answer;
    const { error, retryInMillis = 0 } = answer;
    const text = error === undefined ? 'it answers 429, 502, 503 or 504' : describeError(error);
    return { status: 'failure', error: new RetryableError(text, Math.max(0, retryInMillis)) };
  }

  shutdown(): void {
    this.#http.shutdown();
  }
}

/**
 * A connection that had been kept may be closed by the collector at the moment when it is used again: a
 * new one is worth a try at once. One that is gone refuses it.
 */
function wasCut({ status, error }: TransportAnswer): boolean {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return status === 'retryable' && (code === 'ECONNRESET' || code === 'EPIPE');
}

/**
 * An error's text, with its code where the text has none; at most 200 characters, but for one that says
 * how it is mended.
 */
export function describeError(error: Error): string {
  if (error instanceof DeniedDial || error instanceof RetryableError) return error.message;
  const { code } = error as { readonly code?: unknown };
  const text = error.message || error.name;
  const hasCode = code === undefined || text.includes(String(code));
  return (hasCode ? text : `${code} ${text}`).slice(0, 200);
}
