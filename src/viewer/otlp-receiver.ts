/**
 * OTLP/HTTP: takes `POST /v1/traces` with JSON, plain or gzip, and puts its spans into the store.
 *
 *   head checks ─► body, bounded ─► gunzip, bounded ─► look over ─► parse ─► decode ─► store ─► 200
 *        └─► 404 405 415 413           └─► 413 503         └─► 400 413      └─► 400
 *
 * Errors are answered as OTLP asks: a google.rpc.Status in JSON; 503 carries Retry-After. Memory is
 * bounded by one decoded body at a time (gunzip and parse are synchronous) and by the bodies held
 * while they arrive. Source: opentelemetry.io/docs/specs/otlp, section OTLP/HTTP.
 */

import { isUtf8 } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { gunzipSync } from 'node:zlib';
import type { ViewerLimits } from '../model/limits.ts';
import { answer } from './http-listener.ts';
import { findJsonExcess } from './json-guard.ts';
import { decodeTraces } from './otlp-decode.ts';
import type { TraceStore } from './trace-store.ts';

/** google.rpc.Code, as far as it is used. */
const RpcCode = {
  InvalidArgument: 3,
  NotFound: 5,
  ResourceExhausted: 8,
  Unimplemented: 12,
} as const;

/** A refusal: HTTP status, google.rpc code and the sentence for the sender's log. */
interface Refused {
  readonly status: number;
  readonly code: number;
  readonly message: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What the receiver has seen since start. */
export interface ReceiverCounts {
  readonly requests: number;
  readonly refusedRequests: number;
  readonly acceptedSpans: number;
  readonly rejectedSpans: number;
}

export class OtlpReceiver {
  readonly #store: TraceStore;
  readonly #limits: ViewerLimits;
  #heldBytes = 0;
  #requests = 0;
  #refusedRequests = 0;
  #acceptedSpans = 0;
  #rejectedSpans = 0;

  constructor(store: TraceStore, limits: ViewerLimits) {
    this.#store = store;
    this.#limits = limits;
  }

  counts(): ReceiverCounts {
    return {
      requests: this.#requests,
      refusedRequests: this.#refusedRequests,
      acceptedSpans: this.#acceptedSpans,
      rejectedSpans: this.#rejectedSpans,
    };
  }

  readonly handle = (request: IncomingMessage, response: ServerResponse): void => {
    this.#requests++;
    const refused = this.#checkHead(request);
    if (refused !== undefined) this.#refuse(request, response, refused);
    else this.#readBody(request, response);
  };

  #checkHead(request: IncomingMessage): Refused | undefined {
    const path = (request.url ?? '').split('?', 1)[0];
    if (path !== '/v1/traces') {
      const message = `this receiver takes POST /v1/traces only, not ${path}`;
      return { status: 404, code: RpcCode.NotFound, message };
    }
    if (request.method !== 'POST') {
      const message = `${request.method} is not taken here: send POST`;
      return { status: 405, code: RpcCode.Unimplemented, message, headers: { allow: 'POST' } };
    }
    const declared = Number(request.headers['content-length'] ?? 0);
    if (declared > this.#limits.ingestBytesMax) return tooBig(this.#limits.ingestBytesMax);
    return checkType(request.headers['content-type']) ?? checkEncoding(request);
  }

  /** Collects the body up to the limits; bytes held are counted over all connections. */
  #readBody(request: IncomingMessage, response: ServerResponse): void {
    const chunks: Buffer[] = [];
    let held = 0;
    const release = (): void => {
      this.#heldBytes -= held;
      held = 0;
      chunks.length = 0;
      request.removeListener('data', onData);
      request.removeListener('end', onEnd);
      request.removeListener('close', release);
    };
    const onData = (chunk: Buffer): void => {
      held += chunk.length;
      this.#heldBytes += chunk.length;
      chunks.push(chunk);
      const refused =
        held > this.#limits.ingestBytesMax
          ? tooBig(this.#limits.ingestBytesMax)
          : this.#heldBytes > this.#limits.ingestHeldBytesMax
            ? busy
            : undefined;
      if (refused === undefined) return;
      release();
      this.#refuse(request, response, refused);
    };
    const onEnd = (): void => {
      const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
      release();
      this.#take(body, request, response);
    };
    request.on('data', onData);
    request.on('end', onEnd);
    request.on('close', release);
  }

  #take(body: Buffer, request: IncomingMessage, response: ServerResponse): void {
    const isGzip = request.headers['content-encoding']?.toLowerCase() === 'gzip';
    const outcome = readSpans(body, isGzip, this.#limits);
    if (outcome.kind === 'refused') {
      this.#refuse(request, response, outcome.refused);
      return;
    }
    const { groups, reason } = outcome.decoded;
    const received = groups.reduce((sum, group) => sum + group.spans.length, 0);
    const overflow = this.#store.add(groups);
    const rejected = outcome.decoded.rejected + overflow;
    this.#acceptedSpans += received - overflow;
    this.#rejectedSpans += rejected;
    const overflowReason = `a trace keeps at most ${this.#limits.spansPerTraceMax} spans`;
    const partialSuccess =
      rejected === 0
        ? {}
        : { rejectedSpans: String(rejected), errorMessage: reason || overflowReason };
    answer(response, 200, 'application/json', JSON.stringify({ partialSuccess }));
  }

  #refuse(request: IncomingMessage, response: ServerResponse, refused: Refused): void {
    this.#refusedRequests++;
    const { status, code, message, headers } = refused;
    answer(response, status, 'application/json', JSON.stringify({ code, message }), headers);
    // The rest of the body is let run out, so that the sender can read the answer instead of a
    // reset; one that never ends is cut here or by the request timeout.
    let discarded = 0;
    request.on('data', (chunk: Buffer) => {
      discarded += chunk.length;
      if (discarded > this.#limits.ingestBytesMax) request.destroy();
    });
  }
}

const busy: Refused = {
  status: 503,
  code: RpcCode.ResourceExhausted,
  message: 'too many request bodies at the same time; try again',
  headers: { 'retry-after': '1' },
};

function tooBig(bytesMax: number): Refused {
  const message = `the body is over ${bytesMax} bytes; send smaller batches`;
  return { status: 413, code: RpcCode.InvalidArgument, message };
}

function checkType(contentType: string | undefined): Refused | undefined {
  const type = (contentType ?? '').split(';', 1)[0]!.trim().toLowerCase();
  if (type === 'application/json') return undefined;
  const hint = 'set OTEL_EXPORTER_OTLP_PROTOCOL=http/json';
  const message =
    type === 'application/x-protobuf'
      ? `protobuf is not read yet: send application/json for now (${hint})`
      : `send content-type application/json, not '${type}' (${hint})`;
  return { status: 415, code: RpcCode.InvalidArgument, message };
}

function checkEncoding(request: IncomingMessage): Refused | undefined {
  const encoding = (request.headers['content-encoding'] ?? 'identity').toLowerCase();
  if (encoding === 'gzip' || encoding === 'identity' || encoding === '') return undefined;
  const message = `content-encoding '${encoding}' is not read: send gzip or none`;
  const headers = { 'accept-encoding': 'gzip' };
  return { status: 415, code: RpcCode.InvalidArgument, message, headers };
}

type Outcome =
  | { readonly kind: 'refused'; readonly refused: Refused }
  | {
      readonly kind: 'spans';
      readonly decoded: Extract<ReturnType<typeof decodeTraces>, { kind: 'spans' }>;
    };

/** The body's spans. Synchronous: at no time is more than one body unpacked. */
function readSpans(body: Buffer, isGzip: boolean, limits: ViewerLimits): Outcome {
  const plain = isGzip ? unpack(body, limits.ingestDecodedBytesMax) : body;
  if (!Buffer.isBuffer(plain)) return { kind: 'refused', refused: plain };
  const excess = findJsonExcess(plain, limits.ingestDepthMax, limits.ingestValuesMax);
  if (excess === 'depth') {
    return malformed(`the JSON nests deeper than ${limits.ingestDepthMax} levels`);
  }
  if (excess === 'values') {
    const message = `the JSON holds over ${limits.ingestValuesMax} values; send smaller batches`;
    return { kind: 'refused', refused: { status: 413, code: RpcCode.InvalidArgument, message } };
  }
  if (!isUtf8(plain)) return malformed('the body is not UTF-8');
  let parsed: unknown;
  try {
    parsed = JSON.parse(plain.toString('utf8'));
  } catch (error) {
    return malformed(`the body is not JSON: ${(error as Error).message}`);
  }
  const decoded = decodeTraces(parsed, limits);
  return decoded.kind === 'malformed' ? malformed(decoded.message) : { kind: 'spans', decoded };
}

function malformed(message: string): Outcome {
  return { kind: 'refused', refused: { status: 400, code: RpcCode.InvalidArgument, message } };
}

function unpack(body: Buffer, bytesMax: number): Buffer | Refused {
  try {
    return gunzipSync(body, { maxOutputLength: bytesMax });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
      const message = `the body unpacks to over ${bytesMax} bytes; send smaller batches`;
      return { status: 413, code: RpcCode.InvalidArgument, message };
    }
    const message = `the body is not whole gzip: ${(error as Error).message}`;
    return { status: 400, code: RpcCode.InvalidArgument, message };
  }
}
