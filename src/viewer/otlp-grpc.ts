/**
 * OTLP/gRPC without a gRPC library: unary calls over node:http2, in plain text (prior knowledge).
 *
 *   HEADERS /opentelemetry...TraceService/Export ─► DATA: flag, length, message ─► ingest ─► DATA
 *        └─► grpc-status 12                              └─► 3 8 14                   grpc-status 0
 *
 * A refusal is a response of headers only, with `grpc-status` and `grpc-message` in it. Streams,
 * sessions, settings and resets are bounded by nghttp2's own limits, set here; a body by the limits of
 * all bodies. Sources: github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md; opentelemetry.io/docs/specs/otlp.
 */

import {
  constants,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Clock } from '../base/clock.ts';
import { systemWakeUps } from '../base/deadlines.ts';
import type { ViewerLimits } from '../model/viewer-limits.ts';
import { type ListenAddress, ListenFailure, listenMessage } from './http-listener.ts';
import type { IncomingBody, OtlpIngest, Outcome, RefusalKind, Signal } from './otlp-ingest.ts';
import { printExportAnswer } from './otlp-protobuf.ts';

/** https://grpc.io/docs/guides/status-codes, as far as they are used. */
const GrpcStatus = {
  Ok: 0,
  InvalidArgument: 3,
  DeadlineExceeded: 4,
  ResourceExhausted: 8,
  Unimplemented: 12,
  Internal: 13,
  Unavailable: 14,
} as const;

/** Only `unavailable` is one that exporters try again. */
const refusedStatuses: Readonly<Record<RefusalKind, number>> = {
  malformed: GrpcStatus.InvalidArgument,
  'too-big': GrpcStatus.ResourceExhausted,
  busy: GrpcStatus.Unavailable,
  failed: GrpcStatus.Internal,
};

const services: ReadonlyMap<string, Signal> = new Map<string, Signal>([
  ['/opentelemetry.proto.collector.trace.v1.TraceService/Export', 'traces'],
  ['/opentelemetry.proto.collector.metrics.v1.MetricsService/Export', 'metrics'],
]);

/** What a peer may send of a stream before it hears from us. */
const windowBytes = 1024 * 1024;
/** Flag and length before a message. */
const frameHeadBytes = 5;

/** Listens until `close`. */
export class GrpcListener {
  readonly #server: Http2Server;
  readonly #limits: ViewerLimits;
  /** With the number of calls under way; the one that was idle for longest comes first of the idle. */
  readonly #sessions = new Map<ServerHttp2Session, number>();

  private constructor(server: Http2Server, limits: ViewerLimits) {
    this.#server = server;
    this.#limits = limits;
    server.on('session', (session) => this.#begin(session));
  }

  /** A peer has as long for its first frames as for a head. */
  #begin(session: ServerHttp2Session): void {
    session.on('error', () => {});
    const callOff = systemWakeUps.after(this.#limits.headTimeoutMs, () => session.destroy());
    session.once('remoteSettings', callOff);
    session.once('close', () => {
      callOff();
      this.#sessions.delete(session);
    });
    // Before all connections are taken, one without a call makes room.
    if (this.#sessions.size >= (3 / 4) * this.#limits.connectionsMax) {
      [...this.#sessions].find(([, calls]) => calls === 0)?.[0].destroy();
    }
    this.#sessions.set(session, 0);
  }

  #count(session: ServerHttp2Session | undefined, calls: number): void {
    const before = session === undefined ? undefined : this.#sessions.get(session);
    if (before === undefined) return;
    this.#sessions.delete(session!);
    this.#sessions.set(session!, before + calls);
  }

  /** Listens on `at`, or rejects with ListenFailure. */
  static open(at: ListenAddress, ingest: OtlpIngest, clock: Clock): Promise<GrpcListener> {
    const { limits } = ingest;
    const server = createServer(serverOptions(limits));
    server.maxConnections = limits.connectionsMax;
    server.setTimeout(limits.keepAliveIdleMs);
    const listener = new GrpcListener(server, limits);
    server.on('stream', (stream, headers) => {
      const session = stream.session as ServerHttp2Session | undefined;
      listener.#count(session, 1);
      stream.once('close', () => listener.#count(session, -1));
      new Call(stream as ServerHttp2Stream, ingest, clock).begin(headers);
    });
    return new Promise((resolve, reject) => {
      server.on('error', (error: NodeJS.ErrnoException) => {
        const naming = { purpose: 'OTLP over gRPC', flag: '--grpc ADDR:PORT' };
        reject(new ListenFailure(listenMessage(at, error, naming)));
      });
      server.listen(at.port, at.address, () => resolve(listener));
    });
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** Ends the listener and every connection, also those with a call under way. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      for (const session of [...this.#sessions.keys()]) session.destroy();
    });
  }
}

function serverOptions(limits: ViewerLimits) {
  return {
    maxSessionMemory: 16,
    maxHeaderListPairs: 64,
    maxOutstandingPings: 4,
    maxSettings: 16,
    maxSendHeaderBlockLength: 8192,
    maxSessionInvalidFrames: 16,
    maxSessionRejectedStreams: 16,
    // A peer that opens streams only to reset them (CVE-2023-44487) loses its session.
    streamResetBurst: limits.grpcResetBurst,
    streamResetRate: limits.grpcResetsPerSecond,
    settings: {
      maxConcurrentStreams: limits.grpcStreamsMax,
      maxHeaderListSize: limits.headBytesMax,
      enablePush: false,
      initialWindowSize: windowBytes,
    },
  };
}

class Call {
  readonly #stream: ServerHttp2Stream;
  readonly #ingest: OtlpIngest;
  readonly #clock: Clock;
  readonly #deadlineMs: number;
  #isAnswered = false;
  #discardedBytes = 0;

  constructor(stream: ServerHttp2Stream, ingest: OtlpIngest, clock: Clock) {
    this.#stream = stream;
    this.#ingest = ingest;
    this.#clock = clock;
    this.#deadlineMs = clock.now() + ingest.limits.requestTimeoutMs;
    // A peer that goes away is not an error here; without a listener it would be one of the process.
    stream.on('error', () => {});
    stream.setTimeout(ingest.limits.headTimeoutMs, () => stream.close(constants.NGHTTP2_CANCEL));
  }

  begin(headers: IncomingHttpHeaders): void {
    this.#ingest.countRequest();
    const path = String(headers[':path'] ?? '');
    const signal = services.get(path);
    const type = String(headers['content-type'] ?? '');
    if (headers[':method'] !== 'POST' || !/^application\/grpc($|[+;])/.test(type)) {
      this.#ingest.countRefused();
      this.#end({ ':status': 415 });
    } else if (type.startsWith('application/grpc+') && !type.startsWith('application/grpc+proto')) {
      this.#refuse(GrpcStatus.Unimplemented, `'${type}' is not read: send application/grpc`);
    } else if (signal === undefined) {
      const message = `this receiver takes ${[...services.keys()].join(' and ')} only`;
      this.#refuse(GrpcStatus.Unimplemented, message);
    } else {
      this.#readBody(signal, String(headers['grpc-encoding'] ?? 'identity'));
    }
  }

  #readBody(signal: Signal, encoding: string): void {
    const body = this.#ingest.beginBody();
    this.#stream.on('data', (chunk: Buffer) => {
      if (!this.#isAnswered) this.#addChunk(body, chunk);
      else this.#discard(chunk);
    });
    this.#stream.on('end', () => {
      if (!this.#isAnswered) this.#take(body.whole(), signal, encoding);
    });
    this.#stream.on('close', () => body.release());
  }

  #addChunk(body: IncomingBody, chunk: Buffer): void {
    const refusal = body.add(chunk);
    if (refusal !== undefined) {
      body.release();
      this.#refuse(refusedStatuses[refusal.kind], refusal.message);
    } else if (this.#clock.now() > this.#deadlineMs) {
      body.release();
      this.#refuse(GrpcStatus.DeadlineExceeded, 'the message takes too long to arrive');
    }
  }

  #take(body: Buffer, signal: Signal, encoding: string): void {
    const isWhole =
      body.length >= frameHeadBytes && body.readUInt32BE(1) === body.length - frameHeadBytes;
    if (!isWhole || body[0]! > 1) {
      this.#refuse(GrpcStatus.InvalidArgument, 'the body is not one whole message');
      return;
    }
    const isCompressed = body[0] === 1;
    if (isCompressed && encoding !== 'gzip') {
      this.#refuse(GrpcStatus.Unimplemented, `grpc-encoding '${encoding}' is not read: send gzip`);
      return;
    }
    const message = body.subarray(frameHeadBytes);
    const kind = { signal, encoding: 'protobuf', isGzip: isCompressed } as const;
    this.#ingest.takeInTurn(message, kind, (outcome) => this.#answerOutcome(outcome));
  }

  #answerOutcome(outcome: Outcome): void {
    if (outcome.kind === 'refused') {
      this.#refuse(refusedStatuses[outcome.refusal.kind], outcome.refusal.message);
    } else {
      this.#answer(printExportAnswer(outcome.rejected, outcome.reason));
    }
  }

  #answer(message: Buffer): void {
    if (this.#stream.destroyed) return;
    this.#isAnswered = true;
    this.#stream.respond(responseHeaders, { waitForTrailers: true });
    this.#stream.on('wantTrailers', () => {
      this.#stream.sendTrailers({ 'grpc-status': String(GrpcStatus.Ok) });
    });
    const head = Buffer.alloc(frameHeadBytes);
    head.writeUInt32BE(message.length, 1);
    this.#stream.end(Buffer.concat([head, message]));
  }

  #refuse(status: number, message: string): void {
    this.#ingest.countRefused();
    this.#end({
      ...responseHeaders,
      'grpc-status': String(status),
      'grpc-message': percentEncode(message),
    });
  }

  /**
   * Headers only. What the peer still sends is let run out: a reset could overtake the answer. A
   * stream that goes on is reset then, as RFC 9113 section 8.1 has it.
   */
  #end(headers: Readonly<Record<string, string | number>>): void {
    this.#isAnswered = true;
    if (this.#stream.destroyed) return;
    this.#stream.respond(headers, { endStream: true });
    this.#stream.resume();
  }

  #discard(chunk: Buffer): void {
    this.#discardedBytes += chunk.length;
    if (this.#discardedBytes > this.#ingest.limits.ingestBytesMax + windowBytes) {
      this.#stream.close(constants.NGHTTP2_NO_ERROR);
    }
  }
}

const responseHeaders = {
  ':status': 200,
  'content-type': 'application/grpc',
  'grpc-accept-encoding': 'identity,gzip',
} as const;

/** As gRPC's `grpc-message` has it: printable ASCII but `%`, all else as bytes of UTF-8. */
function percentEncode(text: string): string {
  return text.replace(/[^ -$&-~]+/g, (part) =>
    [...Buffer.from(part)]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
      .join(''),
  );
}
