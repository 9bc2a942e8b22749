/**
 * OTLP/HTTP: `POST /v1/traces` and `/v1/metrics` with JSON or protobuf, plain or gzip.
 *
 *   head checks ─► body, bounded ─► ingest (otlp-ingest.ts) ─► 200, partial success in it
 *        └─► 404 405 415 413           └─► 413 503     └─► 400 413
 *
 * Errors are answered as OTLP asks: a google.rpc.Status in the encoding of the request; 503 carries
 * Retry-After. Source: opentelemetry.io/docs/specs/otlp, section OTLP/HTTP.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { answer } from './http-listener.ts';
import {
  type Encoding,
  type OtlpIngest,
  type Outcome,
  type Refusal,
  type RefusalKind,
  type Signal,
  tooBig,
} from './otlp-ingest.ts';
import { printExportAnswer, printStatus } from './otlp-protobuf.ts';

/** google.rpc.Code, as far as it is used. */
const RpcCode = {
  InvalidArgument: 3,
  NotFound: 5,
  ResourceExhausted: 8,
  Unimplemented: 12,
  Internal: 13,
} as const;

/** A refusal: HTTP status, google.rpc code and the sentence for the sender's log. */
interface Refused {
  readonly status: number;
  readonly code: number;
  readonly message: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const signals: ReadonlyMap<string, Signal> = new Map<string, Signal>([
  ['/v1/traces', 'traces'],
  ['/v1/metrics', 'metrics'],
]);
const mediaTypes: Readonly<Record<Encoding, string>> = {
  json: 'application/json',
  protobuf: 'application/x-protobuf',
};

/** `handle` takes every request of the OTLP address. */
export class OtlpReceiver {
  readonly #ingest: OtlpIngest;

  constructor(ingest: OtlpIngest) {
    this.#ingest = ingest;
  }

  readonly handle = (request: IncomingMessage, response: ServerResponse): void => {
    this.#ingest.countRequest();
    const path = (request.url ?? '').split('?', 1)[0]!;
    const signal = signals.get(path);
    const encoding = encodingOf(request.headers['content-type']);
    const refused =
      signal === undefined
        ? noSuchPath(path)
        : (checkHead(request) ?? this.#checkLength(request) ?? checkEncoding(request));
    if (refused !== undefined) this.#refuse(request, response, encoding ?? 'json', refused);
    else this.#readBody(request, response, signal!, encoding!);
  };

  #checkLength(request: IncomingMessage): Refused | undefined {
    const { limits } = this.#ingest;
    const declared = Number(request.headers['content-length'] ?? 0);
    return declared > limits.ingestBytesMax ? refusedAs(tooBig(limits)) : undefined;
  }

  /** Collects the body up to the limits. */
  #readBody(
    request: IncomingMessage,
    response: ServerResponse,
    signal: Signal,
    encoding: Encoding,
  ): void {
    const body = this.#ingest.beginBody();
    const detach = (): void => {
      request.removeListener('data', onData);
      request.removeListener('end', onEnd);
      request.removeListener('close', release);
    };
    const release = (): void => {
      detach();
      body.release();
    };
    const onData = (chunk: Buffer): void => {
      const refusal = body.add(chunk);
      if (refusal === undefined) return;
      release();
      this.#refuse(request, response, encoding, refusedAs(refusal));
    };
    const onEnd = (): void => {
      detach();
      const isGzip = request.headers['content-encoding']?.toLowerCase() === 'gzip';
      this.#ingest.takeInTurn(body.whole(), { signal, encoding, isGzip }, (outcome) => {
        body.release();
        this.#answer(outcome, request, response, signal, encoding);
      });
    };
    request.on('data', onData);
    request.on('end', onEnd);
    request.on('close', release);
  }

  #answer(
    outcome: Outcome,
    request: IncomingMessage,
    response: ServerResponse,
    signal: Signal,
    encoding: Encoding,
  ): void {
    if (outcome.kind === 'refused') {
      this.#refuse(request, response, encoding, refusedAs(outcome.refusal));
      return;
    }
    const { rejected, reason } = outcome;
    const body =
      encoding === 'json'
        ? exportAnswer(signal, rejected, reason)
        : printExportAnswer(rejected, reason);
    answer(response, 200, mediaTypes[encoding], body);
  }

  #refuse(
    request: IncomingMessage,
    response: ServerResponse,
    encoding: Encoding,
    { status, code, message, headers }: Refused,
  ): void {
    this.#ingest.countRefused();
    const body =
      encoding === 'json' ? JSON.stringify({ code, message }) : printStatus(code, message);
    answer(response, status, mediaTypes[encoding], body, headers);
    // The rest of the body is let run out, so that the sender can read the answer instead of a
    // reset; one that never ends is cut here or by the request timeout.
    let discarded = 0;
    request.on('data', (chunk: Buffer) => {
      discarded += chunk.length;
      if (discarded > this.#ingest.limits.ingestBytesMax) request.destroy();
    });
  }
}

/** Export...ServiceResponse in JSON. */
function exportAnswer(signal: Signal, rejected: number, errorMessage: string): string {
  const field = signal === 'traces' ? 'rejectedSpans' : 'rejectedDataPoints';
  const partialSuccess = rejected === 0 ? {} : { [field]: String(rejected), errorMessage };
  return JSON.stringify({ partialSuccess });
}

function noSuchPath(path: string): Refused {
  const message = `this receiver takes POST ${[...signals.keys()].join(' and ')} only, not ${path}`;
  return { status: 404, code: RpcCode.NotFound, message };
}

function checkHead(request: IncomingMessage): Refused | undefined {
  if (request.method !== 'POST') {
    const message = `${request.method} is not taken here: send POST`;
    return { status: 405, code: RpcCode.Unimplemented, message, headers: { allow: 'POST' } };
  }
  const sent = request.headers['content-type'];
  if (encodingOf(sent) !== undefined) return undefined;
  const message = `send content-type application/json or application/x-protobuf, not '${sent ?? ''}'`;
  return { status: 415, code: RpcCode.InvalidArgument, message };
}

function encodingOf(contentType: string | undefined): Encoding | undefined {
  const type = (contentType ?? '').split(';', 1)[0]!.trim().toLowerCase();
  if (type === mediaTypes.json) return 'json';
  return type === mediaTypes.protobuf ? 'protobuf' : undefined;
}

function checkEncoding(request: IncomingMessage): Refused | undefined {
  const encoding = (request.headers['content-encoding'] ?? 'identity').toLowerCase();
  if (encoding === 'gzip' || encoding === 'identity' || encoding === '') return undefined;
  const message = `content-encoding '${encoding}' is not read: send gzip or none`;
  const headers = { 'accept-encoding': 'gzip' };
  return { status: 415, code: RpcCode.InvalidArgument, message, headers };
}

const refusedStatuses: Readonly<Record<RefusalKind, Omit<Refused, 'message'>>> = {
  malformed: { status: 400, code: RpcCode.InvalidArgument },
  'too-big': { status: 413, code: RpcCode.InvalidArgument },
  busy: { status: 503, code: RpcCode.ResourceExhausted, headers: { 'retry-after': '1' } },
  failed: { status: 500, code: RpcCode.Internal },
};

function refusedAs({ kind, message }: Refusal): Refused {
  return { ...refusedStatuses[kind], message };
}
