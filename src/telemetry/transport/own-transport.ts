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
import { systemWakeUps, type WakeUps } from '../../base/deadlines.ts';
import { RetryableError } from './export-retry.ts';
import { DeniedDial } from './own-dial.ts';
import { RequestGroup, type RequestWatch, watchRequests } from './request-watch.ts';

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
/** What a timer of the platform can wait for. */
const TIMER_MS_MAX = 2_147_483_647;

/** An answer that began and went on for longer than an export may take. */
export class EndlessAnswer extends Error {
  constructor(timeoutMs: number) {
    super(`its answer had no end after ${timeoutMs} ms`);
    this.name = 'EndlessAnswer';
  }
}

export interface TransportOptions {
  /** What it is given is compressed; `http` names the encoding itself. */
  readonly isGzip?: boolean;
  /** An answer that has to be cut is a failure, however it began. */
  readonly isWhole?: boolean;
  readonly requests?: RequestWatch;
  readonly wakeUps?: WakeUps;
}

export class OwnTransport implements Transport {
  readonly #http: Transport;
  readonly #isGzip: boolean;
  readonly #isWhole: boolean;
  readonly #requests: RequestWatch;
  readonly #wakeUps: WakeUps;

  /** `http` sends once. */
  constructor(
    http: Transport,
    {
      isGzip = false,
      isWhole = false,
      requests = watchRequests(),
      wakeUps = systemWakeUps,
    }: TransportOptions,
  ) {
    this.#http = http;
    this.#isGzip = isGzip;
    this.#isWhole = isWhole;
    this.#requests = requests;
    this.#wakeUps = wakeUps;
  }

  async send(data: Uint8Array, timeoutMillis: number): Promise<TransportAnswer> {
    const body = this.#isGzip ? gzipSync(data, { level: GZIP_LEVEL }) : data;
    const group = this.#requests.current ?? new RequestGroup();
    let isLate = false;
    // The SDK's time-out is for silence: an answer of one byte a second would never end.
    const callOff = this.#wakeUps.after(Math.min(timeoutMillis + MARGIN_MS, TIMER_MS_MAX), () => {
      isLate = true;
      group.destroyAll();
    });
    const once = () => this.#requests.run(group, () => this.#http.send(body, timeoutMillis));
    let answer: TransportAnswer;
    try {
      answer = await once();
      if (wasCut(answer) && !isLate) answer = await once();
    } finally {
      callOff();
    }
    const isEndless = isLate && group.isAnswered;
    if (isEndless && this.#isWhole) {
      return { status: 'failure', error: new EndlessAnswer(timeoutMillis) };
    }
    if (answer.status !== 'retryable') return answer;
    const { error, retryInMillis = 0 } = answer;
    let why = error ?? describeAnswer(group);
    if (isEndless) why = new EndlessAnswer(timeoutMillis);
    else if (isLate && error !== undefined) why = new Error('Request timed out');
    const retryable = new RetryableError(describeError(why), Math.max(0, retryInMillis));
    return { status: 'failure', error: retryable };
  }

  shutdown(): void {
    this.#http.shutdown();
  }
}

/** The part of the SDK's exporters that is their own business. */
interface WithDelegate {
  readonly _delegate?: {
    _transport?: Transport & { readonly _transport?: Transport };
    _responseHandler?: { handleResponse(response: unknown): void };
  };
}

/**
 * From now on `exporter` tries once, and a failure that may pass is a RetryableError. False for a
 * version that keeps its HTTP elsewhere: that goes on by itself.
 */
export function replaceTransport(exporter: object, options: TransportOptions): boolean {
  const { _delegate: delegate } = exporter as WithDelegate;
  const own = delegate?._transport?._transport;
  if (delegate === undefined || typeof own?.send !== 'function') return false;
  delegate._transport = new OwnTransport(own, options);
  return true;
}

/** From now on `exporter` tells nobody of partial success: only of spans somebody wants to know. */
export function ignorePartialSuccess(exporter: object): void {
  const { _delegate: delegate } = exporter as WithDelegate;
  if (delegate !== undefined) delegate._responseHandler = { handleResponse: () => undefined };
}

/** Of an answer after which the same may be tried again. */
function describeAnswer({ lastCause }: RequestGroup): Error {
  if (lastCause === '') return new Error('it answers 429, 502, 503 or 504');
  return new Error(`a sidecar on the way to it answers ${lastCause}`);
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
