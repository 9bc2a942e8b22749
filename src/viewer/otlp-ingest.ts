/**
 * From the bytes of an export request to the store: what OTLP/HTTP and OTLP/gRPC have in common.
 *
 *   body ─► gunzip, bounded ─► look over, bounded ─► parse ─► decode ─► store ─► what was rejected
 *
 * Everything here is synchronous, so that at no time more than one body is unpacked, and one body has
 * its turn in each round of the event loop: what else is asked waits for one only. The bodies that are
 * held until then are counted over all connections of both. It throws nothing. Source:
 * opentelemetry.io/docs/specs/otlp.
 */

import { isUtf8 } from 'node:buffer';
import { gunzipSync } from 'node:zlib';
import type { ViewerLimits } from '../model/viewer-limits.ts';
import { findJsonExcess } from './json-guard.ts';
import { decodeMetrics } from './metric-decode.ts';
import type { MetricStore } from './metric-store.ts';
import { decodeTraces } from './otlp-decode.ts';
import { readMetrics, readTraces } from './otlp-protobuf.ts';
import { MalformedProtobuf } from './protobuf-reader.ts';
import type { TraceStore } from './trace-store.ts';

/** What a request is about. */
export type Signal = 'traces' | 'metrics';
/** How its body is written. */
export type Encoding = 'json' | 'protobuf';

/** Why a request is refused as a whole; each transport has its own word for it. */
export type RefusalKind = 'malformed' | 'too-big' | 'busy' | 'failed';

/** Nothing of the request was stored. */
export interface Refusal {
  readonly kind: RefusalKind;
  /** A sentence for the sender's log. */
  readonly message: string;
}

/** How the body of a request is to be read. */
interface BodyKind {
  readonly signal: Signal;
  readonly encoding: Encoding;
  readonly isGzip: boolean;
}

/** What became of a request. */
export type Outcome =
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  /** Stored but for `rejected` spans or points; `reason` says why the first was, '' when none was. */
  | { readonly kind: 'taken'; readonly rejected: number; readonly reason: string };

/** What came in since start, over both transports. */
export interface ReceiverCounts {
  readonly requests: number;
  readonly refusedRequests: number;
  readonly acceptedSpans: number;
  readonly rejectedSpans: number;
  /** Points of metrics. */
  readonly acceptedPoints: number;
  readonly rejectedPoints: number;
}

/** One for both transports: limits and counts are of both together. */
export class OtlpIngest {
  readonly limits: ViewerLimits;
  readonly #store: TraceStore;
  readonly #metrics: MetricStore;
  /** What is to be done, one in each round. */
  readonly #turns: (() => void)[] = [];
  #heldBytes = 0;
  #requests = 0;
  #refusedRequests = 0;
  #acceptedSpans = 0;
  #rejectedSpans = 0;
  #acceptedPoints = 0;
  #rejectedPoints = 0;

  constructor(store: TraceStore, metrics: MetricStore, limits: ViewerLimits) {
    this.#store = store;
    this.#metrics = metrics;
    this.limits = limits;
  }

  counts(): ReceiverCounts {
    return {
      requests: this.#requests,
      refusedRequests: this.#refusedRequests,
      acceptedSpans: this.#acceptedSpans,
      rejectedSpans: this.#rejectedSpans,
      acceptedPoints: this.#acceptedPoints,
      rejectedPoints: this.#rejectedPoints,
    };
  }

  /** A request has come, whatever becomes of it. */
  countRequest(): void {
    this.#requests++;
  }

  /** It was refused as a whole, here or by its transport. */
  countRefused(): void {
    this.#refusedRequests++;
  }

  /** A place to collect one body in. */
  beginBody(): IncomingBody {
    return new IncomingBody(this.limits, (bytes) => {
      this.#heldBytes += bytes;
      return this.#heldBytes <= this.limits.ingestHeldBytesMax;
    });
  }

  /** `take` when its turn comes; `done` is told what came of it. */
  takeInTurn(
    body: Buffer,
    { signal, encoding, isGzip }: BodyKind,
    done: (outcome: Outcome) => void,
  ): void {
    this.#turns.push(() => done(this.take(body, signal, encoding, isGzip)));
    if (this.#turns.length === 1) setImmediate(this.#nextTurn);
  }

  readonly #nextTurn = (): void => {
    if (this.#turns.length > 1) setImmediate(this.#nextTurn);
    this.#turns.shift()!();
  };

  /** Stores what the body of one export request says. */
  take(body: Buffer, signal: Signal, encoding: Encoding, isGzip: boolean): Outcome {
    try {
      const parsed = parseBody(body, signal, encoding, isGzip, this.limits);
      if (parsed.kind === 'refused') return parsed;
      return signal === 'traces' ? this.#takeTraces(parsed.value) : this.#takeMetrics(parsed.value);
    } catch (error) {
      // A mistake of ours ends this request and no other.
      return refused('failed', `internal error: ${String(error)}`);
    }
  }

  #takeTraces(value: unknown): Outcome {
    const decoded = decodeTraces(value, this.limits);
    if (decoded.kind === 'malformed') return refused('malformed', decoded.message);
    const received = decoded.groups.reduce((sum, group) => sum + group.spans.length, 0);
    const refusedSpans = this.#store.add(decoded.groups);
    // OTLP forbids to send again what was taken in part; nothing was, so the sender may keep it.
    if (refusedSpans.isTemporary) return refused('busy', refusedSpans.reason);
    const rejected = decoded.rejected + refusedSpans.spans;
    this.#acceptedSpans += received - refusedSpans.spans;
    this.#rejectedSpans += rejected;
    const reason = decoded.reason || refusedSpans.reason;
    return { kind: 'taken', rejected, reason };
  }

  #takeMetrics(value: unknown): Outcome {
    const decoded = decodeMetrics(value, this.limits);
    if (decoded.kind === 'malformed') return refused('malformed', decoded.message);
    const received = decoded.groups.reduce((sum, group) => sum + group.points.length, 0);
    const overflow = this.#metrics.add(decoded.groups);
    const rejected = decoded.rejected + overflow;
    this.#acceptedPoints += received - overflow;
    this.#rejectedPoints += rejected;
    const overflowReason = 'the viewer keeps no more sets of attributes (status says how many)';
    const reason = decoded.reason || (overflow > 0 ? overflowReason : '');
    return { kind: 'taken', rejected, reason };
  }
}

/** One body while it arrives: bounded by itself and by what all of them hold together. */
export class IncomingBody {
  readonly #limits: ViewerLimits;
  readonly #hold: (bytes: number) => boolean;
  #chunks: Buffer[] = [];
  #bytes = 0;

  /** `hold` is told of bytes that come (and go, below 0); false: all together are too many. */
  constructor(limits: ViewerLimits, hold: (bytes: number) => boolean) {
    this.#limits = limits;
    this.#hold = hold;
  }

  /** Keeps a chunk, or says why the body is refused; then `release` is due. */
  add(chunk: Buffer): Refusal | undefined {
    this.#bytes += chunk.length;
    this.#chunks.push(chunk);
    const fits = this.#hold(chunk.length);
    if (this.#bytes > this.#limits.ingestBytesMax) return tooBig(this.#limits);
    return fits ? undefined : busy;
  }

  /** The whole body, which is held until `release`. */
  whole(): Buffer {
    return this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
  }

  /** Gives back what is held; once more is harmless. */
  release(): void {
    this.#hold(-this.#bytes);
    this.#bytes = 0;
    this.#chunks = [];
  }
}

const busy: Refusal = {
  kind: 'busy',
  message: 'too many request bodies at the same time; try again',
};

/** The refusal of a body that is over its limit as it comes over the wire. */
export function tooBig(limits: ViewerLimits): Refusal {
  const message = `the body is over ${limits.ingestBytesMax} bytes; send smaller batches`;
  return { kind: 'too-big', message };
}

type Refused = Extract<Outcome, { kind: 'refused' }>;
type Parsed = Refused | { readonly kind: 'value'; readonly value: unknown };

function refused(kind: RefusalKind, message: string): Refused {
  return { kind: 'refused', refusal: { kind, message } };
}

function parseBody(
  body: Buffer,
  signal: Signal,
  encoding: Encoding,
  isGzip: boolean,
  limits: ViewerLimits,
): Parsed {
  const plain = isGzip ? unpack(body, unpackedBytesMax(body.length, limits)) : body;
  if (!Buffer.isBuffer(plain)) return plain;
  return encoding === 'json' ? parseJson(plain, limits) : parseProtobuf(plain, signal, limits);
}

/**
 * What may be sent plain may be sent packed. Beyond it: gzip of spans is a tenth to a fiftieth of them,
 * and what is less is made to keep the viewer busy.
 */
function unpackedBytesMax(bytes: number, limits: ViewerLimits): number {
  const likely = Math.max(limits.ingestBytesMax, bytes * limits.ingestInflateRatioMax);
  return Math.min(likely, limits.ingestDecodedBytesMax);
}

function unpack(body: Buffer, bytesMax: number): Buffer | Refused {
  try {
    return gunzipSync(body, { maxOutputLength: bytesMax });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
      const message = `the body unpacks to over ${bytesMax} bytes; send smaller batches`;
      return refused('too-big', message);
    }
    return refused('malformed', `the body is not whole gzip: ${(error as Error).message}`);
  }
}

function parseJson(plain: Buffer, limits: ViewerLimits): Parsed {
  const excess = findJsonExcess(plain, limits.ingestDepthMax, limits.ingestValuesMax);
  if (excess === 'depth') {
    return refused('malformed', `the JSON nests deeper than ${limits.ingestDepthMax} levels`);
  }
  if (excess === 'values') {
    const message = `the JSON holds over ${limits.ingestValuesMax} values; send smaller batches`;
    return refused('too-big', message);
  }
  if (!isUtf8(plain)) return refused('malformed', 'the body is not UTF-8');
  try {
    return { kind: 'value', value: JSON.parse(plain.toString('utf8')) };
  } catch (error) {
    return refused('malformed', `the body is not JSON: ${(error as Error).message}`);
  }
}

function parseProtobuf(plain: Buffer, signal: Signal, limits: ViewerLimits): Parsed {
  const read = signal === 'traces' ? readTraces : readMetrics;
  const bounds = { depthMax: limits.ingestDepthMax, valuesMax: limits.ingestValuesMax };
  try {
    return { kind: 'value', value: read(plain, bounds) };
  } catch (error) {
    if (!(error instanceof MalformedProtobuf)) throw error;
    if (error.isExcess) return refused('too-big', error.message);
    return refused('malformed', `the body is not OTLP in protobuf: ${error.message}`);
  }
}
